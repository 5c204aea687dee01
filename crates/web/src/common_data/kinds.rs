//! The kinds of common data as tables and forms. A new kind is one entry of [`noun`], one arm each of
//! [`Noun::cells`], [`Noun::fields`] and [`Noun::read`].

use super::Listed;
use crate::error::ApiError;
use crate::form::{Field, Input, Sent};
use crate::table::Column;
use crate::view::{Cell, Tone};
use model::Kind;
use serde_json::{Map, Value, json};

/// How a kind is spoken of.
#[derive(Debug, Clone, Copy)]
pub struct Noun {
    /// The kind.
    pub kind: Kind,
    /// Heading of its list.
    pub title: &'static str,
    /// One of it.
    pub one: &'static str,
    /// Several.
    pub many: &'static str,
    /// What it is for, in a sentence.
    pub about: &'static str,
    /// Columns of its list; the first is the key.
    pub columns: &'static [Column],
    /// Kinds its form chooses from.
    pub(super) refers: &'static [Kind],
}

const fn column(key: &'static str, label: &'static str) -> Column {
    Column { key, label }
}

const SUBSCRIBER: Noun = Noun {
    kind: Kind::Subscriber,
    title: "Subscribers",
    one: "subscriber",
    many: "subscribers",
    about: "Who has a number: the name others see, the rights, and the member whose registrar the phones use.",
    columns: &[
        column("extension", "Extension"),
        column("name", "Name"),
        column("class", "Feature class"),
        column("home", "Home"),
        column("kind", "Kind"),
    ],
    refers: &[Kind::FeatureClass, Kind::Node],
};

const NUMBERING: Noun = Noun {
    kind: Kind::NumberingRange,
    title: "Numbering plan",
    one: "range",
    many: "ranges",
    about: "Which numbers are extensions of this cluster. Numbers outside every range are unallocated.",
    columns: &[
        column("name", "Name"),
        column("first", "First"),
        column("last", "Last"),
        column("use", "Use"),
    ],
    refers: &[],
};

const CLASSES: Noun = Noun {
    kind: Kind::FeatureClass,
    title: "Feature classes",
    one: "class",
    many: "classes",
    about: "What a subscriber may do. Every subscriber has exactly one class.",
    columns: &[
        column("name", "Name"),
        column("about", "Description"),
        column("barred", "Barred lists"),
        column("sees", "Sees of lines"),
    ],
    refers: &[Kind::BarredNumbers],
};

const BARRED: Noun = Noun {
    kind: Kind::BarredNumbers,
    title: "Barred numbers",
    one: "list",
    many: "lists",
    about: "Lists of number beginnings that may not be called. A feature class names the lists that apply to it; emergency numbers pass them all.",
    columns: &[column("name", "Name"), column("prefixes", "Begins with"), column("count", "Entries")],
    refers: &[],
};

const SPECIAL: Noun = Noun {
    kind: Kind::SpecialNumber,
    title: "Special numbers",
    one: "special number",
    many: "special numbers",
    about: "Numbers answered where the caller is. Emergency numbers pass barring and every state of the cluster.",
    columns: &[
        column("number", "Number"),
        column("about", "Description"),
        column("emergency", "Emergency"),
        column("target", "Answered by"),
        column("local", "Answered locally"),
    ],
    refers: &[Kind::Node],
};

/// The words for a kind that has pages.
#[must_use]
pub fn noun(kind: Kind) -> Option<Noun> {
    match kind {
        Kind::Subscriber => Some(SUBSCRIBER),
        Kind::NumberingRange => Some(NUMBERING),
        Kind::FeatureClass => Some(CLASSES),
        Kind::BarredNumbers => Some(BARRED),
        Kind::SpecialNumber => Some(SPECIAL),
        _ => None,
    }
}

/// What the choices of a form are made of: value and words.
#[derive(Debug, Clone, Default)]
pub(super) struct Choices {
    classes: Vec<(String, String)>,
    members: Vec<(String, String)>,
    lists: Vec<String>,
}

impl Choices {
    pub(super) fn add(&mut self, kind: Kind, objects: &[Listed]) {
        match kind {
            Kind::FeatureClass => {
                let words = |(key, value): &Listed| match text(value, "description").as_str() {
                    "" => (key.clone(), key.clone()),
                    about => (key.clone(), format!("{key}: {about}")),
                };
                self.classes = objects.iter().map(words).collect();
            }
            Kind::Node => {
                let mut nodes: Vec<&Listed> = objects.iter().collect();
                nodes.sort_by_key(|(key, _)| key.parse::<u16>().unwrap_or(u16::MAX));
                let words =
                    |(key, value): &Listed| (key.clone(), format!("Node {key} · {}", text(value, "name")));
                self.members = vec![("0".to_owned(), "Cluster server".to_owned())];
                self.members.extend(nodes.into_iter().map(words));
            }
            Kind::BarredNumbers => self.lists = objects.iter().map(|(key, _)| key.clone()).collect(),
            _ => {}
        }
    }
}

fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list(value: &Value, field: &str) -> Vec<String> {
    let items = value.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn is_on(value: &Value, field: &str) -> bool {
    value.get(field).and_then(Value::as_bool).unwrap_or_default()
}

fn home(value: &Value) -> u64 {
    value.get("home").and_then(Value::as_u64).unwrap_or_default()
}

/// `1=2100` for each member that answers by itself.
fn local_targets(value: &Value) -> Vec<String> {
    let targets = value.get("local_targets").and_then(Value::as_object);
    let pair =
        |(member, target): (&String, &Value)| format!("{member}={}", target.as_str().unwrap_or_default());
    targets.map(|targets| targets.iter().map(pair).collect()).unwrap_or_default()
}

/// The first few of a long list.
fn few(items: &[String]) -> Cell {
    const SHOWN: usize = 6;
    let mut words = items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if items.len() > SHOWN {
        words.push_str(" …");
    }
    if words.is_empty() { Cell::None } else { Cell::Text(words) }
}

impl Noun {
    /// Heading of one.
    #[must_use]
    pub fn title_one(&self) -> String {
        let mut letters = self.one.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
    }

    /// The cells of a row after its key.
    #[must_use]
    pub fn cells(&self, value: &Value) -> Vec<Cell> {
        let or_none = |text: String| if text.is_empty() { Cell::None } else { Cell::Text(text) };
        match self.kind {
            Kind::Subscriber => vec![
                or_none(text(value, "name")),
                Cell::Text(text(value, "feature_class")),
                match home(value) {
                    0 => Cell::text("cluster server"),
                    node => Cell::text(format!("node {node}")),
                },
                if is_on(value, "general_purpose") {
                    Cell::text("general purpose")
                } else {
                    Cell::text("person")
                },
            ],
            Kind::NumberingRange => {
                vec![
                    Cell::Code(text(value, "first")),
                    Cell::Code(text(value, "last")),
                    Cell::Text(text(value, "use")),
                ]
            }
            Kind::FeatureClass => {
                let barred = few(&list(value, "barred"));
                vec![or_none(text(value, "description")), barred, Cell::Text(sees(value))]
            }
            Kind::BarredNumbers => {
                let prefixes = list(value, "prefixes");
                vec![few(&prefixes), Cell::Number(u64::try_from(prefixes.len()).unwrap_or(u64::MAX))]
            }
            Kind::SpecialNumber => vec![
                or_none(text(value, "description")),
                if is_on(value, "emergency") { Cell::badge(Tone::Warn, "emergency") } else { Cell::None },
                Cell::Code(text(value, "target")),
                few(&local_targets(value)),
            ],
            _ => Vec::new(),
        }
    }

    /// The fields of its form. The key can be chosen only when it is new.
    pub(super) fn fields(&self, key: Option<&str>, value: &Value, choices: &Choices) -> Vec<Field> {
        let mut fields = Vec::new();
        if key.is_none() {
            let (label, hint) = match self.kind {
                Kind::Subscriber => {
                    ("Extension", "The number others dial; it must lie in a range of the plan.")
                }
                Kind::SpecialNumber => ("Number", "The digits people dial, for example 112."),
                _ => ("Name", "It cannot be changed later."),
            };
            fields.push(Field::text("key", label, "").hint(hint));
        }
        fields.extend(match self.kind {
            Kind::Subscriber => subscriber_fields(key, value, choices),
            Kind::NumberingRange => vec![
                Field::text("first", "First number", text(value, "first")).input(Input::Number),
                Field::text("last", "Last number", text(value, "last"))
                    .input(Input::Number)
                    .hint("As many digits as the first one."),
            ],
            Kind::FeatureClass => class_fields(value, choices),
            Kind::BarredNumbers => vec![
                Field::text("prefixes", "Barred beginnings", list(value, "prefixes").join("\n"))
                    .input(Input::Lines)
                    .hint("One a line. A number is barred when it begins with one of them."),
            ],
            Kind::SpecialNumber => special_fields(value),
            _ => Vec::new(),
        });
        fields
    }

    /// The object a form describes; the service checks it.
    pub(super) fn read(&self, sent: &Sent) -> Result<Value, ApiError> {
        Ok(match self.kind {
            Kind::Subscriber => {
                let mut object = json!({
                    "name": sent.get("name"),
                    "feature_class": sent.get("feature_class"),
                    "home": sent.number::<u16>("home")?,
                    "general_purpose": sent.is_on("general_purpose"),
                });
                if let (Some(object), secret @ [_, ..]) =
                    (object.as_object_mut(), sent.exact("secret").as_bytes())
                {
                    object.insert("secret".to_owned(), String::from_utf8_lossy(secret).into());
                }
                object
            }
            Kind::NumberingRange => {
                json!({ "first": sent.get("first"), "last": sent.get("last"), "use": "extensions" })
            }
            Kind::FeatureClass => {
                json!({
                    "description": sent.get("description"),
                    "barred": sent.words("barred"),
                    "sees": sent.get("sees"),
                })
            }
            Kind::BarredNumbers => json!({ "prefixes": sent.words("prefixes") }),
            Kind::SpecialNumber => json!({
                "description": sent.get("description"),
                "emergency": sent.is_on("emergency"),
                "target": sent.get("target"),
                "local_targets": read_local_targets(sent)?,
            }),
            _ => Value::Null,
        })
    }
}

fn subscriber_fields(key: Option<&str>, value: &Value, choices: &Choices) -> Vec<Field> {
    let secret = match key {
        None => "At least 16 characters. Left empty, one is made and shown once.",
        Some(_) => "Left empty, it stays as it is.",
    };
    vec![
        Field::text("name", "Name", text(value, "name")).optional().hint("Shown to the called party."),
        Field::choice(
            "feature_class",
            "Feature class",
            text(value, "feature_class"),
            choices.classes.clone(),
        ),
        Field::choice("home", "Home", home(value).to_string(), choices.members.clone())
            .hint("The member its phones register at."),
        Field::password("secret", "Secret", "new-password").optional().hint(secret),
        Field::check("general_purpose", "General-purpose subscriber", is_on(value, "general_purpose")),
    ]
}

fn class_fields(value: &Value, choices: &Choices) -> Vec<Field> {
    let mut barred = Field::text("barred", "Barred lists", list(value, "barred").join("\n"));
    barred = barred
        .input(Input::Lines)
        .optional()
        .hint("Names of lists, one a line. Empty: everything may be called.");
    if let ([only], true) = (choices.lists.as_slice(), value.is_null()) {
        barred.value.clone_from(only);
    }
    let sights = [
        ("nothing", "nothing"),
        ("states", "whether they are idle, ring or talk"),
        ("parties", "with whom they talk as well"),
    ];
    let sights = sights.map(|(sight, words)| (sight.to_owned(), words.to_owned())).to_vec();
    vec![
        Field::text("description", "Description", text(value, "description")).optional(),
        barred,
        Field::choice("sees", "May see of other lines", sees(value), sights)
            .hint("What lamps of its phones show of those it may call."),
    ]
}

/// What a class may see of lines, as the model reads a class that does not say.
fn sees(value: &Value) -> String {
    let sees = text(value, "sees");
    if sees.is_empty() { "states".to_owned() } else { sees }
}

fn special_fields(value: &Value) -> Vec<Field> {
    vec![
        Field::text("description", "Description", text(value, "description")).optional(),
        Field::text("target", "Answered by", text(value, "target")).input(Input::Number).hint("An extension."),
        Field::text("local_targets", "Answered locally", local_targets(value).join("\n"))
            .input(Input::Lines)
            .optional()
            .hint("Member=extension, one a line, for example 1=2100: reachable there even when the member is cut off."),
        Field::check("emergency", "Emergency number", is_on(value, "emergency"))
            .hint("It passes barring, locks and limits."),
    ]
}

fn read_local_targets(sent: &Sent) -> Result<Map<String, Value>, ApiError> {
    let mut targets = Map::new();
    for pair in sent.words("local_targets") {
        let (member, target) = pair.split_once('=').ok_or_else(|| {
            ApiError::bad_request("local-targets", format!("local_targets: '{pair}' is not member=extension"))
        })?;
        targets.insert(member.trim().to_owned(), target.trim().into());
    }
    Ok(targets)
}
