//! The fields of a challenge or of credentials: `Digest name=value, name="value"` (RFC 3261 §25.1).

use crate::scan::{self, Cursor, Elements};

/// More fields than any scheme has.
const FIELDS_MAX: usize = 32;

/// The fields of one header line, names in lower case, quotes off. A field that is there twice spoils all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// `None` when it is not the Digest scheme; an error when it is, and broken.
    pub(super) fn parse(line: &str) -> Option<Result<Fields, ()>> {
        let mut cursor = Cursor::new(scan::trim(line));
        let scheme = cursor.token()?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        Some(Fields::read(cursor.blank().rest).ok_or(()))
    }

    fn read(text: &str) -> Option<Fields> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for element in Elements::of(text) {
            let mut cursor = Cursor::new(element);
            let name = cursor.token()?.to_ascii_lowercase();
            let value = cursor.mark('=').then_some(cursor.rest)?;
            let fits = if value.starts_with('"') {
                cursor.quoted().is_some() && cursor.blank().is_done()
            } else {
                !value.is_empty() && !value.bytes().any(|byte| scan::is_blank(byte) || byte == b'"')
            };
            if !fits || fields.len() == FIELDS_MAX || fields.iter().any(|(known, _)| *known == name) {
                return None;
            }
            fields.push((name, scan::unquote(scan::trim(value)).into_owned()));
        }
        Some(Fields(fields))
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
