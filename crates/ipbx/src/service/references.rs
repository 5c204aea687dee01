//! Objects name one another: a subscriber its feature class and its home, a class its lists of barred numbers. What is
//! named must exist when it is written, and cannot be deleted while it is named.

use crate::running::Running;
use model::object::{FeatureClass, Object, Subscriber};
use model::tables::Tables;
use model::{Kind, MemberNumber};
use web::ApiError;

/// Names of what exists that one refusal lists.
const LISTED_MAX: usize = 20;

/// Refuses a value that names what does not exist. It is canonical already.
///
/// # Errors
/// 400 `unknown-reference`, naming the field and what there is.
pub(super) async fn check_named(
    running: &Running,
    kind: Kind,
    key: &str,
    value: &[u8],
) -> Result<(), ApiError> {
    match kind {
        Kind::Subscriber => {
            let subscriber = Subscriber::from_json(key, value)?;
            ask(running, move |tables| subscriber_names(tables, &subscriber)).await
        }
        Kind::FeatureClass => {
            let class = FeatureClass::from_json(key, value)?;
            ask(running, move |tables| class_names(tables, &class)).await
        }
        _ => Ok(()),
    }
}

/// Refuses to delete what others name.
///
/// # Errors
/// 409 `in-use`, saying by how many.
pub(super) async fn check_unnamed(running: &Running, kind: Kind, key: &str) -> Result<(), ApiError> {
    let key = key.to_owned();
    match kind {
        Kind::FeatureClass => {
            ask(running, move |tables| {
                let users =
                    tables.subscribers().filter(|(_, subscriber)| subscriber.feature_class == key).count();
                unused(users, "subscribers have this feature class", "give them another class first")
            })
            .await
        }
        Kind::BarredNumbers => {
            ask(running, move |tables| {
                let users = tables.classes().filter(|(_, class)| class.barred.contains(&key)).count();
                unused(users, "feature classes name this list", "take it out of those classes first")
            })
            .await
        }
        _ => Ok(()),
    }
}

/// Asks the tables in force, which are those of the last commit.
async fn ask(
    running: &Running,
    question: impl FnOnce(&Tables) -> Result<(), ApiError> + Send + 'static,
) -> Result<(), ApiError> {
    let answer = running.engine.ask(move |engine| question(engine.lane().shard().tables())).await;
    answer.map_err(super::being_rebuilt)?
}

fn subscriber_names(tables: &Tables, subscriber: &Subscriber) -> Result<(), ApiError> {
    if tables.class(&subscriber.feature_class).is_none() {
        let known = tables.classes().map(|(key, _)| key.to_owned());
        return Err(unknown("feature_class", &subscriber.feature_class, known));
    }
    let home = subscriber.home;
    if !home.is_cluster_server() && tables.node(home).is_none() {
        let known =
            std::iter::once(MemberNumber::CLUSTER_SERVER).chain(tables.nodes().map(|(number, _)| number));
        return Err(unknown("home", &home.to_string(), known.map(|number| number.to_string())));
    }
    Ok(())
}

fn class_names(tables: &Tables, class: &FeatureClass) -> Result<(), ApiError> {
    match class.barred.iter().find(|list| tables.barred(list).is_none()) {
        Some(list) => {
            let known = tables.barred_lists().map(|(key, _)| key.to_owned());
            Err(unknown("barred", list, known))
        }
        None => Ok(()),
    }
}

fn unknown(field: &str, named: &str, known: impl Iterator<Item = String>) -> ApiError {
    let known: Vec<String> = known.take(LISTED_MAX).collect();
    let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
    ApiError::bad_request("unknown-reference", format!("{field}: there is no '{named}'; there are: {known}"))
        .next("name one that exists, or write it first")
}

fn unused(users: usize, what: &str, next: &str) -> Result<(), ApiError> {
    match users {
        0 => Ok(()),
        users => Err(ApiError::conflict("in-use", format!("{users} {what}")).next(next)),
    }
}
