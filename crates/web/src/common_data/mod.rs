//! The pages of a cluster's common data (subscribers, numbering, feature classes …): the same in the manager and
//! in each call server, differing only in where the objects come from.
//!
//! A face gives an [`ObjectSource`] over its own service functions and mounts [`routes`]. Who is not the owner of
//! the data (a node, SYN-14, SYN-16) gets the same pages without forms, with the owner named.

mod explain;
mod kinds;

pub use explain::{explain_page, explanation};
pub use kinds::{Noun, noun};

use crate::error::ApiError;
use crate::face::{Face, MenuGroup, MenuItem, Page};
use crate::flash;
use crate::form::{Field, Form, Sent};
use crate::table::{Empty, Query, Table};
use crate::view::{Cell, escape, live, properties, query_escape};
use crate::visit::Visit;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use kinds::Choices;
use model::Kind;
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

/// The entries of a face's menu about numbers.
pub const NUMBERING_MENU: MenuGroup = MenuGroup {
    label: "Numbering",
    items: &[
        MenuItem { label: "Numbering plan", href: "/data/numbering-range", icon: "digits" },
        MenuItem { label: "Barred numbers", href: "/data/barred-numbers", icon: "barred" },
        MenuItem { label: "Special numbers", href: "/data/special-number", icon: "emergency" },
        MenuItem { label: "Explain a number", href: "/explain", icon: "question" },
    ],
};

/// The entries of a face's menu about people.
pub const USERS_MENU: MenuGroup = MenuGroup {
    label: "Users",
    items: &[
        MenuItem { label: "Subscribers", href: "/data/subscriber", icon: "people" },
        MenuItem { label: "Feature classes", href: "/data/feature-class", icon: "class" },
    ],
};

/// An object as it is listed: its key and its JSON.
pub type Listed = (String, Value);

/// Whose data a page shows.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The words and addresses of the pages above.
    pub crumbs: Vec<(String, String)>,
    /// A strip above the page, already HTML.
    pub banner: String,
    /// Who owns the data, when it is not whom the page asks: the data are read-only here (SYN-14, SYN-16).
    pub owner: Option<String>,
}

/// Where the objects of a face come from. `place` is the `{place}` of the mounted path: a cluster in the
/// manager, nothing in a call server.
pub trait ObjectSource: Clone + Send + Sync + 'static {
    /// Whose data they are.
    fn place(&self, place: &str) -> impl Future<Output = Result<Place, ApiError>> + Send;
    /// All objects of a kind.
    fn list(&self, place: &str, kind: Kind) -> impl Future<Output = Result<Vec<Listed>, ApiError>> + Send;
    /// Writes one; the answer may hold a generated `secret`.
    fn put(
        &self,
        visit: &Visit,
        place: &str,
        object: Written,
    ) -> impl Future<Output = Result<Value, ApiError>> + Send;
    /// Deletes one.
    fn delete(
        &self,
        visit: &Visit,
        place: &str,
        kind: Kind,
        key: &str,
    ) -> impl Future<Output = Result<(), ApiError>> + Send;
}

/// An object to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// What sort.
    pub kind: Kind,
    /// Its key.
    pub key: String,
    /// Its JSON.
    pub value: Value,
}

/// What the handlers share.
struct Desk<S> {
    source: S,
    face: Arc<Face>,
    prefix: &'static str,
}

impl<S: Clone> Clone for Desk<S> {
    fn clone(&self) -> Self {
        Desk { source: self.source.clone(), face: self.face.clone(), prefix: self.prefix }
    }
}

type Params = Path<BTreeMap<String, String>>;

/// The routes below `prefix`, which may hold `{place}`.
pub fn routes<S: ObjectSource>(prefix: &'static str, source: S, face: Arc<Face>) -> Router {
    Router::new()
        .route(&format!("{prefix}/{{kind}}"), get(list::<S>).post(create::<S>))
        .route(&format!("{prefix}/{{kind}}/new"), get(new::<S>))
        .route(&format!("{prefix}/{{kind}}/edit/{{key}}"), get(edit::<S>).post(change::<S>))
        .route(&format!("{prefix}/{{kind}}/delete/{{key}}"), post(delete::<S>))
        .with_state(Desk { source, face, prefix })
}

/// One request, sorted out.
struct Act<'a, S> {
    desk: &'a Desk<S>,
    visit: &'a Visit,
    noun: Noun,
    id: String,
    key: String,
    place: Place,
}

impl<'a, S: ObjectSource> Act<'a, S> {
    async fn of(
        desk: &'a Desk<S>,
        visit: &'a Visit,
        params: BTreeMap<String, String>,
    ) -> Result<Act<'a, S>, ApiError> {
        let param = |name: &str| params.get(name).cloned().unwrap_or_default();
        let noun = Kind::from_name(&param("kind"))
            .and_then(noun)
            .ok_or_else(|| ApiError::not_found(format!("kind of data '{}'", param("kind"))))?;
        let id = param("place");
        let place = desk.source.place(&id).await?;
        Ok(Act { desk, visit, noun, id, key: param("key"), place })
    }

    /// A request that changes something, refused before anything is asked of the source when the visitor may not or
    /// the data are another's.
    async fn to_change(
        desk: &'a Desk<S>,
        visit: &'a Visit,
        params: BTreeMap<String, String>,
    ) -> Result<Act<'a, S>, ApiError> {
        let act = Act::of(desk, visit, params).await?;
        act.visit.administrator()?;
        match &act.place.owner {
            None => Ok(act),
            Some(owner) => Err(ApiError::conflict("not-owner", format!("managed by {owner}"))
                .next(format!("change it at {owner}"))),
        }
    }

    /// The address of the list.
    fn base(&self) -> String {
        let prefix = self.desk.prefix.replace("{place}", &query_escape(&self.id));
        format!("{prefix}/{}", self.noun.kind.name())
    }

    fn address(&self, verb: &str, key: &str) -> String {
        format!("{}/{verb}/{}", self.base(), query_escape(key))
    }

    /// May this visitor change this data here?
    fn may_change(&self) -> bool {
        self.place.owner.is_none() && self.visit.may_change()
    }

    async fn objects(&self) -> Result<Vec<Listed>, ApiError> {
        self.desk.source.list(&self.id, self.noun.kind).await
    }

    /// What the choices of the form are made of.
    async fn choices(&self) -> Result<Choices, ApiError> {
        let mut choices = Choices::default();
        for kind in self.noun.refers {
            choices.add(*kind, &self.desk.source.list(&self.id, *kind).await?);
        }
        Ok(choices)
    }

    /// The page of the list.
    fn page(&self, title: &str, content: String) -> Page {
        let mut page = Page::new(title, content).banner(self.place.banner.clone());
        page.crumbs.clone_from(&self.place.crumbs);
        page
    }

    /// A page below the list.
    fn page_below(&self, title: &str, content: String) -> Page {
        self.page(title, content).below(self.noun.title, self.base())
    }

    /// What the page of one object, or of one yet to be made, is called.
    fn title(&self, key: Option<&str>) -> String {
        match key {
            Some(key) => format!("{} {key}", self.noun.title_one()),
            None => format!("New {}", self.noun.one),
        }
    }

    fn form(&self, key: Option<&str>, fields: Vec<Field>) -> Form {
        let (action, word) = match key {
            Some(key) => (self.address("edit", key), "Save"),
            None => (self.base(), "Create"),
        };
        let mut form = Form::new("object", action, self.visit.csrf(), word, fields);
        form.cancel = Some(self.base());
        form.disabled = self.visit.administrator().err().map(|refusal| refusal.message);
        form
    }

    fn show(&self, status: StatusCode, page: &Page) -> Response {
        self.desk.face.page_with(status, self.visit, page)
    }
}

async fn list<S: ObjectSource>(
    State(desk): State<Desk<S>>,
    visit: Visit,
    Path(params): Params,
) -> Result<Response, ApiError> {
    let act = Act::of(&desk, &visit, params).await?;
    let objects = act.objects().await?;
    let noun = act.noun;
    let next =
        act.may_change().then(|| (format!("Create the first {}", noun.one), format!("{}/new", act.base())));
    let rows = objects.iter().map(|(key, value)| {
        let mut row = vec![Cell::link(key, act.address("edit", key))];
        row.extend(noun.cells(value));
        row
    });
    let table = Table {
        noun: noun.many,
        columns: noun.columns.to_vec(),
        rows: rows.collect(),
        empty: Empty { text: format!("No {} yet.", noun.many), next },
    };
    let here = format!("{}?{}", visit.path, visit.query);
    let list = live("objects", "objects", &here, &table.render(&Query::parse(&visit.query)));
    let content = format!("<p class=\"soft\">{}</p>{}{list}", escape(noun.about), read_only(&act.place));
    let mut page = act.page(noun.title, content);
    if act.may_change() {
        page = page.actions(format!("<a class=\"button\" href=\"{}/new\">New {}</a>", act.base(), noun.one));
    }
    Ok(act.show(StatusCode::OK, &page))
}

/// Says whose the data are.
fn read_only(place: &Place) -> String {
    match &place.owner {
        None => String::new(),
        Some(owner) => format!(
            "<p class=\"notice\">Read-only here: these data are managed by {}. Every change made there is in force here at once.</p>",
            escape(owner)
        ),
    }
}

async fn new<S: ObjectSource>(
    State(desk): State<Desk<S>>,
    visit: Visit,
    Path(params): Params,
) -> Result<Response, ApiError> {
    let act = Act::to_change(&desk, &visit, params).await?;
    let form = act.form(None, act.noun.fields(None, &Value::Null, &act.choices().await?));
    Ok(act.show(StatusCode::OK, &act.page_below(&act.title(None), form.html())))
}

async fn edit<S: ObjectSource>(
    State(desk): State<Desk<S>>,
    visit: Visit,
    Path(params): Params,
) -> Result<Response, ApiError> {
    let act = Act::of(&desk, &visit, params).await?;
    let objects = act.objects().await?;
    let (key, value) = objects
        .into_iter()
        .find(|(key, _)| *key == act.key)
        .ok_or_else(|| ApiError::not_found(format!("{} '{}'", act.noun.one, act.key)))?;
    let content = if act.may_change() {
        let form = act.form(Some(&key), act.noun.fields(Some(&key), &value, &act.choices().await?));
        format!("<div class=\"grid\">{}{}</div>", form.html(), removal(&act).html())
    } else {
        let names = act.noun.columns.iter().skip(1).map(|column| column.label);
        let rows: Vec<(&str, Cell)> = names.zip(act.noun.cells(&value)).collect();
        format!("{}<div class=\"card\">{}</div>", read_only(&act.place), properties(&rows))
    };
    Ok(act.show(StatusCode::OK, &act.page_below(&act.title(Some(&key)), content)))
}

/// The form that deletes: the name must be typed.
fn removal<S: ObjectSource>(act: &Act<'_, S>) -> Form {
    let confirm =
        Field::text("confirm", "Type its key to delete it", "").hint("It is gone for every member at once.");
    let mut form =
        Form::new("delete", act.address("delete", &act.key), act.visit.csrf(), "Delete", vec![confirm]);
    form.danger = true;
    form
}

async fn create<S: ObjectSource>(
    State(desk): State<Desk<S>>,
    visit: Visit,
    Path(params): Params,
    sent: Sent,
) -> Result<Response, ApiError> {
    let act = Act::to_change(&desk, &visit, params).await?;
    let key = sent.get("key").to_owned();
    let taken = act.objects().await?.iter().any(|(present, _)| *present == key);
    if taken {
        let refusal =
            ApiError::conflict("exists", format!("key: there is a {} '{key}' already", act.noun.one));
        return form_again(&act, None, &sent, refusal).await;
    }
    write(&act, None, key, sent).await
}

async fn change<S: ObjectSource>(
    State(desk): State<Desk<S>>,
    visit: Visit,
    Path(params): Params,
    sent: Sent,
) -> Result<Response, ApiError> {
    let act = Act::to_change(&desk, &visit, params).await?;
    write(&act, Some(act.key.clone()), act.key.clone(), sent).await
}

async fn write<S: ObjectSource>(
    act: &Act<'_, S>,
    present: Option<String>,
    key: String,
    sent: Sent,
) -> Result<Response, ApiError> {
    let kind = act.noun.kind;
    let answer = match act.noun.read(&sent) {
        Ok(value) => act.desk.source.put(act.visit, &act.id, Written { kind, key: key.clone(), value }).await,
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok(answer) => Ok(written(act, &key, &answer)),
        Err(refusal) => form_again(act, present.as_deref(), &sent, refusal).await,
    }
}

/// A generated secret is shown on the answer itself, so that it is never kept anywhere.
fn written<S: ObjectSource>(act: &Act<'_, S>, key: &str, answer: &Value) -> Response {
    let Some(secret) = answer.get("secret").and_then(Value::as_str) else {
        let revision = answer.get("revision").and_then(Value::as_u64);
        let at = revision.map(|revision| format!(", in force at revision {revision}")).unwrap_or_default();
        return flash::done(&act.base(), format!("{} is saved{at}.", act.title(Some(key))));
    };
    let rows = [("Extension", Cell::code(key)), ("Secret", Cell::code(secret))];
    let content = format!(
        "<p class=\"notice warn\">The secret is shown here and nowhere again. Enter it in the phone now.</p>\
         <div class=\"card\">{}</div><p><a class=\"button\" href=\"{}\">Done</a></p>",
        properties(&rows),
        escape(&act.base())
    );
    let title = format!("{} is saved", act.title(Some(key)));
    act.show(StatusCode::OK, &act.page_below(&title, content))
}

async fn form_again<S: ObjectSource>(
    act: &Act<'_, S>,
    key: Option<&str>,
    sent: &Sent,
    refusal: ApiError,
) -> Result<Response, ApiError> {
    let status = refusal.status;
    let fields = act.noun.fields(key, &Value::Null, &act.choices().await?);
    let form = act.form(key, fields).filled(sent).refused(refusal);
    Ok(act.show(status, &act.page_below(&act.title(key), form.html())))
}

async fn delete<S: ObjectSource>(
    State(desk): State<Desk<S>>,
    visit: Visit,
    Path(params): Params,
    sent: Sent,
) -> Result<Response, ApiError> {
    let act = Act::to_change(&desk, &visit, params).await?;
    if sent.get("confirm") != act.key {
        let text = format!("Nothing was deleted: '{}' is not the key '{}'.", sent.get("confirm"), act.key);
        return Ok(flash::failed(&act.address("edit", &act.key), text));
    }
    match act.desk.source.delete(&visit, &act.id, act.noun.kind, &act.key).await {
        Ok(()) => Ok(flash::done(&act.base(), format!("{} is deleted.", act.title(Some(&act.key))))),
        Err(refusal) => Ok(flash::failed(&act.address("edit", &act.key), refusal.to_string())),
    }
}
