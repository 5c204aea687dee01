//! Forms: every field has a bound label, says what it wants, and shows its fault beside it.

use crate::error::ApiError;
use crate::guard::CSRF_FIELD;
use crate::table::pairs;
use askama::Template;
use std::collections::BTreeMap;

/// What a field takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// One line.
    Text,
    /// One line, not shown.
    Password,
    /// A whole number.
    Number,
    /// Several lines.
    Lines,
    /// Yes or no.
    Check,
    /// One of these: value and words.
    Choice(Vec<(String, String)>),
}

/// One field.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name in the form.
    pub name: &'static str,
    /// Its label.
    pub label: &'static str,
    /// What it takes.
    pub input: Input,
    /// What is in it.
    pub value: String,
    /// What it wants, in a sentence.
    pub hint: &'static str,
    /// It must be filled.
    pub required: bool,
    /// What the browser may fill in.
    pub autocomplete: &'static str,
    /// What is wrong with it.
    pub fault: Option<String>,
}

impl Field {
    /// A field of one line that must be filled.
    #[must_use]
    pub fn text(name: &'static str, label: &'static str, value: impl Into<String>) -> Field {
        Field {
            name,
            label,
            input: Input::Text,
            value: value.into(),
            hint: "",
            required: true,
            autocomplete: "off",
            fault: None,
        }
    }

    /// A password.
    #[must_use]
    pub fn password(name: &'static str, label: &'static str, autocomplete: &'static str) -> Field {
        Field { input: Input::Password, autocomplete, ..Field::text(name, label, "") }
    }

    /// A choice.
    #[must_use]
    pub fn choice(
        name: &'static str,
        label: &'static str,
        value: impl Into<String>,
        options: Vec<(String, String)>,
    ) -> Field {
        Field { input: Input::Choice(options), ..Field::text(name, label, value) }
    }

    /// Yes or no.
    #[must_use]
    pub fn check(name: &'static str, label: &'static str, on: bool) -> Field {
        let value = if on { "on" } else { "" };
        Field { input: Input::Check, required: false, ..Field::text(name, label, value) }
    }

    /// With a sentence of help.
    #[must_use]
    pub fn hint(mut self, hint: &'static str) -> Field {
        self.hint = hint;
        self
    }

    /// Taking something else.
    #[must_use]
    pub fn input(mut self, input: Input) -> Field {
        self.input = input;
        self
    }

    /// May stay empty.
    #[must_use]
    pub fn optional(mut self) -> Field {
        self.required = false;
        self
    }

    /// Ids of the texts that describe the field.
    fn described_by(&self, form: &str) -> String {
        let hint = (!self.hint.is_empty()).then(|| format!("{form}-{}-hint", self.name));
        let fault = self.fault.is_some().then(|| format!("{form}-{}-fault", self.name));
        [hint, fault].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// A form that posts to our own server.
#[derive(Debug, Clone, Template)]
#[template(path = "form.html")]
pub struct Form {
    /// Unique on the page.
    pub id: &'static str,
    /// Where it posts.
    pub action: String,
    /// The session's token; empty on the login page.
    pub csrf: String,
    /// Its fields.
    pub fields: Vec<Field>,
    /// The word on its button.
    pub submit: &'static str,
    /// It does damage: the button says so by its look.
    pub danger: bool,
    /// Where "Cancel" leads.
    pub cancel: Option<String>,
    /// What is wrong with the whole.
    pub fault: Option<ApiError>,
    /// Why it cannot be sent now; the button is disabled and says this.
    pub disabled: Option<String>,
}

impl Form {
    /// A form without faults.
    #[must_use]
    pub fn new(
        id: &'static str,
        action: impl Into<String>,
        csrf: &str,
        submit: &'static str,
        fields: Vec<Field>,
    ) -> Form {
        Form {
            id,
            action: action.into(),
            csrf: csrf.to_owned(),
            fields,
            submit,
            danger: false,
            cancel: None,
            fault: None,
            disabled: None,
        }
    }

    /// As HTML.
    #[must_use]
    pub fn html(&self) -> String {
        self.render().unwrap_or_default()
    }

    /// Shows a refusal: at the field whose name the message speaks of, and for the whole.
    #[must_use]
    pub fn refused(mut self, refusal: ApiError) -> Form {
        let speaks_of = |field: &&mut Field| refusal.message.contains(&format!("{}:", field.name));
        if let Some(field) = self.fields.iter_mut().find(speaks_of) {
            field.fault = Some(refusal.message.clone());
        }
        self.fault = Some(refusal);
        self
    }

    /// With what was sent, so that nobody types twice. Passwords stay empty.
    #[must_use]
    pub fn filled(mut self, sent: &Sent) -> Form {
        for field in self.fields.iter_mut().filter(|field| field.input != Input::Password) {
            sent.get(field.name).clone_into(&mut field.value);
        }
        self
    }
}

/// What a form sent, as the argument of a handler.
#[derive(Debug, Clone, Default)]
pub struct Sent(BTreeMap<String, String>);

impl Sent {
    /// A field, trimmed; empty when it was not sent.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }

    /// A field as it was typed: for passwords.
    #[must_use]
    pub fn exact(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// True for a box that was ticked.
    #[must_use]
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name) == "on"
    }

    /// A field that must be a number.
    ///
    /// # Errors
    /// 400 that names the field.
    pub fn number<N: std::str::FromStr>(&self, name: &str) -> Result<N, ApiError> {
        let text = self.get(name);
        text.parse()
            .map_err(|_| ApiError::bad_request("not-a-number", format!("{name}: '{text}' is not a number")))
    }

    /// The words of a field: separated by blanks, commas or lines.
    #[must_use]
    pub fn words(&self, name: &str) -> Vec<String> {
        let separator = |c: char| c.is_whitespace() || c == ',' || c == ';';
        self.get(name).split(separator).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }
}

impl<S: Send + Sync> axum::extract::FromRequest<S> for Sent {
    type Rejection = ApiError;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, ApiError> {
        let body = String::from_request(request, state).await;
        let body = body.map_err(|_| ApiError::bad_request("form", "the form cannot be read"))?;
        Ok(Sent(pairs(&body).into_iter().collect()))
    }
}
