//! The common data of a cluster, written at its cluster server by way of the service.

use super::Desk;
use crate::service::Service;
use crate::service::objects::listed;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use model::Kind;
use model::routing::Decision;
use serde_json::Value;
use web::common_data::{self, Listed, ObjectSource, Place, Written};
use web::face::Page;
use web::table::{Column, Empty, Query, Table};
use web::view::{Cell, escape, query_escape};
use web::{ApiError, Visit};

pub(super) fn routes(desk: &Desk) -> Router<Desk> {
    let objects =
        common_data::routes("/clusters/{place}/data", Source(desk.service.clone()), desk.face.clone());
    Router::new()
        .route("/data/{kind}", get(choose_data))
        .route("/explain", get(choose_explain))
        .route("/clusters/{cluster}/explain", get(explain))
        .merge(objects.with_state(()))
}

/// Objects by way of the service, which writes the operations log.
#[derive(Clone)]
struct Source(Service);

impl ObjectSource for Source {
    async fn place(&self, cluster: &str) -> Result<Place, ApiError> {
        Ok(Place { crumbs: crumbs(&self.0, cluster)?, ..Place::default() })
    }

    async fn list(&self, cluster: &str, kind: Kind) -> Result<Vec<Listed>, ApiError> {
        Ok(listed::<Value>(&self.0.objects(cluster, kind.name()).await?).collect())
    }

    async fn put(&self, visit: &Visit, cluster: &str, object: Written) -> Result<Value, ApiError> {
        let Written { kind, key, value } = object;
        Ok(self.0.put_object(&visit.principal, cluster, kind.name(), &key, &value).await?)
    }

    async fn delete(&self, visit: &Visit, cluster: &str, kind: Kind, key: &str) -> Result<(), ApiError> {
        self.0.delete_object(&visit.principal, cluster, kind.name(), key).await?;
        Ok(())
    }
}

/// The cluster server above every page of its data.
fn crumbs(service: &Service, cluster: &str) -> Result<Vec<(String, String)>, ApiError> {
    let topology = service.snapshot();
    let (key, machine) = topology.cluster(cluster)?;
    Ok(vec![("Overview".to_owned(), "/".to_owned()), (machine.name.clone(), format!("/machines/{key}"))])
}

/// The clusters there are: address and name.
fn clusters(service: &Service) -> Vec<(String, String)> {
    let machines = service.machines();
    machines
        .into_iter()
        .filter(|machine| machine.cs.is_none() && machine.cluster.is_some())
        .map(|machine| (machine.id, machine.name))
        .collect()
}

async fn choose_data(
    State(desk): State<Desk>,
    visit: Visit,
    Path(kind): Path<String>,
) -> Result<Response, ApiError> {
    let noun = Kind::from_name(&kind).and_then(common_data::noun);
    let noun = noun.ok_or_else(|| ApiError::not_found(format!("kind of data '{kind}'")))?;
    Ok(choose(&desk, &visit, noun.title, &format!("data/{}", noun.kind.name())))
}

async fn choose_explain(State(desk): State<Desk>, visit: Visit) -> Response {
    choose(&desk, &visit, "Explain a number", "explain")
}

/// With one cluster there is nothing to choose.
fn choose(desk: &Desk, visit: &Visit, title: &str, page: &str) -> Response {
    let clusters = clusters(&desk.service);
    let address = |id: &str| format!("/clusters/{}/{page}", query_escape(id));
    if let [(only, _)] = clusters.as_slice() {
        return Redirect::to(&address(only)).into_response();
    }
    let table = Table {
        noun: "clusters",
        columns: vec![Column { key: "name", label: "Cluster server" }],
        rows: clusters.iter().map(|(id, name)| vec![Cell::link(name, address(id))]).collect(),
        empty: Empty {
            text: "There is no cluster yet: its data live at its cluster server.".to_owned(),
            next: Some(("To the topology".to_owned(), "/topology".to_owned())),
        },
    };
    desk.face.page(visit, &Page::new(title, table.render(&Query::parse(&visit.query))))
}

async fn explain(
    State(desk): State<Desk>,
    visit: Visit,
    Path(cluster): Path<String>,
) -> Result<Response, ApiError> {
    let crumbs = crumbs(&desk.service, &cluster)?;
    let query = Query::parse(&visit.query);
    let (from, to) = (query.get("from").unwrap_or_default(), query.get("to").unwrap_or_default());
    let answer = match (from, to) {
        ("", _) | (_, "") => None,
        _ => Some(ask(&desk.service, &cluster, from, to).await),
    };
    let mut page = Page::new("Explain a number", common_data::explain_page(from, to, answer));
    page.crumbs = crumbs;
    Ok(desk.face.page(&visit, &page))
}

async fn ask(service: &Service, cluster: &str, from: &str, to: &str) -> Result<Decision, ApiError> {
    let key = service.snapshot().cluster(cluster)?.0.to_owned();
    let query = format!("from={}&to={}", query_escape(from), query_escape(to));
    let answer = service.ask(&key, "explain", Some(&query)).await?;
    let decision = answer.get("decision").cloned().unwrap_or(answer);
    serde_json::from_value(decision).map_err(|fault| {
        ApiError::internal(format!(
            "the cluster server's explanation cannot be read: {}",
            escape(&fault.to_string())
        ))
    })
}
