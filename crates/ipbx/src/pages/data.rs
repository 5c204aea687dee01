//! The common data of the cluster: written at its owner, read everywhere (SYN-14, SYN-16).

use super::{Desk, banner};
use crate::machine::Machine;
use crate::service::{calls, objects, running};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use model::Kind;
use serde_json::Value;
use web::common_data::{self, Listed, ObjectSource, Place, Written};
use web::face::Page;
use web::table::Query;
use web::{ApiError, Visit};

pub(super) fn routes(desk: &Desk) -> Router<Desk> {
    let objects = common_data::routes("/data", Source(desk.machine.clone()), desk.face.clone());
    Router::new().route("/explain", get(explain)).merge(objects.with_state(()))
}

/// Objects by way of the service.
#[derive(Clone)]
struct Source(Machine);

impl ObjectSource for Source {
    async fn place(&self, _place: &str) -> Result<Place, ApiError> {
        let owner = running(&self.0)?.role.owner_elsewhere().map(|at| format!("the cluster server at {at}"));
        Ok(Place { crumbs: Vec::new(), banner: banner::of(&self.0).await, owner })
    }

    async fn list(&self, _place: &str, kind: Kind) -> Result<Vec<Listed>, ApiError> {
        let objects = objects::list(&self.0, kind.name()).await?;
        Ok(objects.into_iter().map(|object| (object.key, object.value)).collect())
    }

    async fn put(&self, visit: &Visit, _place: &str, object: Written) -> Result<Value, ApiError> {
        let Written { kind, key, value } = object;
        let written = objects::put(&self.0, &visit.principal, kind.name(), &key, value).await?;
        serde_json::to_value(written).map_err(|fault| ApiError::internal(fault.to_string()))
    }

    async fn delete(&self, visit: &Visit, _place: &str, kind: Kind, key: &str) -> Result<(), ApiError> {
        objects::delete(&self.0, &visit.principal, kind.name(), key).await?;
        Ok(())
    }
}

async fn explain(State(desk): State<Desk>, visit: Visit) -> Result<Response, ApiError> {
    let query = Query::parse(&visit.query);
    let (from, to) = (query.get("from").unwrap_or_default(), query.get("to").unwrap_or_default());
    let answer = match (from, to) {
        ("", _) | (_, "") => None,
        _ => Some(calls::explain(&desk.machine, from, to).await),
    };
    desk.show(&visit, Page::new("Explain a number", common_data::explain_page(from, to, answer))).await
}
