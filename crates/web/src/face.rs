//! The frame around every page: who we are, where you are, the menu, the sentence from before, the footer.

use crate::assets;
use crate::error::ApiError;
use crate::flash;
use crate::visit::Visit;
use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

/// One entry of the menu.
#[derive(Debug, Clone, Copy)]
pub struct MenuItem {
    /// The word.
    pub label: &'static str,
    /// Where it leads; it is current on all pages whose path holds this.
    pub href: &'static str,
    /// Its picture in `icons.svg`.
    pub icon: &'static str,
}

/// A group of the menu.
#[derive(Debug, Clone, Copy)]
pub struct MenuGroup {
    /// Its heading.
    pub label: &'static str,
    /// Its entries.
    pub items: &'static [MenuItem],
}

/// What one of the web faces is.
#[derive(Debug, Clone)]
pub struct Face {
    /// What it is for: `Manager`, `Call server`.
    pub title: &'static str,
    /// The name of this installation or machine.
    pub place: String,
    /// The release shown in the footer.
    pub release: String,
    /// The menu.
    pub menu: &'static [MenuGroup],
}

/// A page before the frame is around it.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Its heading.
    pub title: String,
    /// The pages above it: words and where they lead.
    pub crumbs: Vec<(String, String)>,
    /// A strip above it, already HTML.
    pub banner: String,
    /// Links or buttons beside the heading, already HTML.
    pub actions: String,
    /// What is on it, already HTML.
    pub content: String,
}

impl Page {
    /// A page with content only.
    #[must_use]
    pub fn new(title: impl Into<String>, content: impl Into<String>) -> Page {
        Page { title: title.into(), content: content.into(), ..Page::default() }
    }

    /// Below another page.
    #[must_use]
    pub fn below(mut self, words: impl Into<String>, href: impl Into<String>) -> Page {
        self.crumbs.push((words.into(), href.into()));
        self
    }

    /// With a strip above it.
    #[must_use]
    pub fn banner(mut self, html: impl Into<String>) -> Page {
        self.banner = html.into();
        self
    }

    /// With links beside the heading.
    #[must_use]
    pub fn actions(mut self, html: impl Into<String>) -> Page {
        self.actions = html.into();
        self
    }
}

#[derive(Template)]
#[template(path = "base.html")]
struct Base<'a> {
    face: &'a Face,
    visit: &'a Visit,
    page: &'a Page,
    current: &'a str,
    files: Files,
}

#[derive(Template)]
#[template(path = "plain.html")]
struct Plain<'a> {
    face: &'a Face,
    title: &'a str,
    content: &'a str,
    files: Files,
}

/// URLs of the assets every page needs.
struct Files {
    css: String,
    theme: String,
    htmx: String,
    script: String,
    icons: String,
    mark: String,
}

impl Files {
    fn present() -> Files {
        Files {
            css: assets::url("pleiad.css"),
            theme: assets::url("theme.js"),
            htmx: assets::url("htmx.min.js"),
            script: assets::url("pleiad.js"),
            icons: assets::url("icons.svg"),
            mark: assets::url("mark.svg"),
        }
    }
}

impl Face {
    /// The page with the frame around it.
    #[must_use]
    pub fn page(&self, visit: &Visit, page: &Page) -> Response {
        self.page_with(StatusCode::OK, visit, page)
    }

    /// The same, for a form that comes back with its faults (422) or the like.
    #[must_use]
    pub fn page_with(&self, status: StatusCode, visit: &Visit, page: &Page) -> Response {
        let current = self.current(&visit.path);
        let base = Base { face: self, visit, page, current, files: Files::present() };
        let mut response = rendered(status, &base);
        if visit.flash.is_some() {
            flash::clear(&mut response);
        }
        response
    }

    /// A page for nobody in particular: login, errors.
    #[must_use]
    pub fn plain(&self, status: StatusCode, title: &str, content: &str) -> Response {
        rendered(status, &Plain { face: self, title, content, files: Files::present() })
    }

    /// A refusal as a page.
    #[must_use]
    pub fn refusal(&self, refusal: &ApiError) -> Response {
        let next = refusal
            .next
            .as_deref()
            .map(|next| format!("<p class=\"next\">{}</p>", crate::view::escape(next)));
        let content = format!(
            "<section class=\"card refusal\"><p class=\"code\">{} · {}</p><p>{}</p>{}\
             <p><a class=\"button\" href=\"/\">To the overview</a></p></section>",
            refusal.status.as_u16(),
            crate::view::escape(&refusal.code),
            crate::view::escape(&refusal.message),
            next.unwrap_or_default(),
        );
        self.plain(refusal.status, "That did not work", &content)
    }

    /// The entry of the menu that `path` belongs to: the one with the longest address that is part of the path, so
    /// that `/clusters/a/data/subscriber/new` belongs to `/data/subscriber`.
    fn current(&self, path: &str) -> &'static str {
        let holds =
            |href: &str| path == href || (href != "/" && format!("{path}/").contains(&format!("{href}/")));
        let items = self.menu.iter().flat_map(|group| group.items);
        items.map(|item| item.href).filter(|href| holds(href)).max_by_key(|href| href.len()).unwrap_or("")
    }
}

fn rendered(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(fault) => ApiError::internal(format!("the page cannot be drawn: {fault}")).into_response(),
    }
}
