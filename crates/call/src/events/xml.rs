//! A writer of small XML documents: what is put in is escaped, what XML cannot hold is left out, and a value of any
//! length becomes a short one. It reads nothing.

/// Characters of one attribute or text.
const VALUE_CHARACTERS_MAX: usize = 256;

/// A document in the making.
#[derive(Debug)]
pub(super) struct Xml {
    text: String,
    open: Vec<&'static str>,
    /// The start tag on top of `open` still takes attributes.
    in_tag: bool,
}

impl Xml {
    /// A document with this root element.
    pub(super) fn new(root: &'static str) -> Xml {
        let text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        Xml { text, open: Vec::new(), in_tag: false }.open(root)
    }

    /// An element begins inside the present one.
    pub(super) fn open(mut self, name: &'static str) -> Xml {
        self.end_tag();
        self.text.push('<');
        self.text.push_str(name);
        self.open.push(name);
        self.in_tag = true;
        self
    }

    /// An attribute of the element that has just begun.
    pub(super) fn attribute(mut self, name: &str, value: &str) -> Xml {
        debug_assert!(self.in_tag, "an attribute belongs into a start tag");
        self.text.push(' ');
        self.text.push_str(name);
        self.text.push_str("=\"");
        self.escaped(value);
        self.text.push('"');
        self
    }

    /// Text in the present element.
    pub(super) fn text(mut self, value: &str) -> Xml {
        self.end_tag();
        self.escaped(value);
        self
    }

    /// The present element ends.
    pub(super) fn close(mut self) -> Xml {
        let Some(name) = self.open.pop() else { return self };
        if std::mem::take(&mut self.in_tag) {
            self.text.push_str("/>");
        } else {
            self.text.push_str("</");
            self.text.push_str(name);
            self.text.push('>');
        }
        self
    }

    /// An element with nothing but text.
    pub(super) fn leaf(self, name: &'static str, value: &str) -> Xml {
        self.open(name).text(value).close()
    }

    /// The document, everything open closed.
    pub(super) fn finish(mut self) -> Vec<u8> {
        while !self.open.is_empty() {
            self = self.close();
        }
        self.text.push('\n');
        self.text.into_bytes()
    }

    fn end_tag(&mut self) {
        if std::mem::take(&mut self.in_tag) {
            self.text.push('>');
        }
    }

    fn escaped(&mut self, value: &str) {
        for character in value.chars().filter(|c| allowed(*c)).take(VALUE_CHARACTERS_MAX) {
            match character {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\'' => self.text.push_str("&apos;"),
                other => self.text.push(other),
            }
        }
    }
}

/// A character that XML 1.0 can hold and a line can show.
fn allowed(character: char) -> bool {
    !character.is_control() && character != '\u{fffe}' && character != '\u{ffff}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_cannot_get_out_of_its_place() {
        let xml = Xml::new("a").attribute("b", "\"/><x y='1'>&").open("c").text("<\u{0}\r\n&amp;>").close();
        let text = String::from_utf8(xml.open("d").close().finish()).unwrap();
        let body = text.lines().nth(1).unwrap();
        assert_eq!(
            body,
            "<a b=\"&quot;/&gt;&lt;x y=&apos;1&apos;&gt;&amp;\"><c>&lt;&amp;amp;&gt;</c><d/></a>"
        );
    }

    #[test]
    fn a_value_of_any_length_becomes_a_short_one() {
        let xml = Xml::new("a").text(&"&".repeat(100_000));
        assert!(xml.finish().len() < 2_000);
    }
}
