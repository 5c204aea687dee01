//! A machine of its own with subscribers.

use crate::{FIRST, password};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::Path;
use testkit::live::lone::{self, Subscriber};

/// Makes the folder, its first account and `count` subscribers.
pub(crate) fn furnish(dir: &Path, count: usize) -> Result<Value> {
    let subscriber = |number: usize| Subscriber { extension: number.to_string(), secret: password(number) };
    let subscribers: Vec<Subscriber> = (FIRST..FIRST + count).map(subscriber).collect();
    let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
    let realm = runtime.block_on(lone::furnish(dir, ("100000", "999999"), &subscribers))?;
    Ok(json!({ "furnished": count, "realm": realm }))
}
