//! Number translators (NUM-25): how numbers are rewritten on their way to a trunk and from it. A trunk has one for
//! each direction and each of the two numbers; the rule with the longest matching beginning is applied, once.
//!
//! It knows nothing of trunks or calls: a text of digits goes in, another comes out, and which rule did it, so that
//! "explain this call" can say so.

use serde::{Deserialize, Serialize};

/// Rules of one translator.
pub const RULES_MAX: usize = 1_000;
/// Digits of a number before and after (E.164 has 15; prefixes of carriers come on top).
pub const DIGITS_MAX: usize = 32;

/// Rewrites numbers that begin in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What the number begins with: digits, `*`, `#`, or `+` first. Empty matches every number.
    #[serde(default)]
    pub begins: String,
    /// Fewest characters of a number that this rule is for, its beginning included.
    #[serde(default)]
    pub length_min: usize,
    /// Most characters of a number that this rule is for; absent = any.
    #[serde(default)]
    pub length_max: Option<usize>,
    /// Characters taken away in front.
    #[serde(default)]
    pub strip: usize,
    /// What is put in front then.
    #[serde(default)]
    pub add: String,
}

/// The rules of one direction of a trunk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Rule>", into = "Vec<Rule>")]
pub struct Translator {
    rules: Vec<Rule>,
}

/// A number behind a translator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// The number.
    pub number: String,
    /// Which rule made it, counted from 0; none when no rule is for such numbers.
    pub by: Option<usize>,
}

/// Why a list of rules is no translator. Rules are counted from 1, as people do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TranslatorError {
    /// Over [`RULES_MAX`].
    #[error("{0} rules; the limit is {RULES_MAX}")]
    TooMany(usize),
    /// A character that no number has.
    #[error("rule {rule}: '{text}' is no part of a number: digits, *, # and a leading + only")]
    NotANumber {
        /// Which rule.
        rule: usize,
        /// What it says.
        text: String,
    },
    /// More is taken away than is sure to be there.
    #[error(
        "rule {rule} strips {strip} characters of numbers that may have {shortest}: set length_min or strip less"
    )]
    StripsTooMuch {
        /// Which rule.
        rule: usize,
        /// How much it strips.
        strip: usize,
        /// The shortest number it is for.
        shortest: usize,
    },
    /// No number can match.
    #[error("rule {rule}: length_max {longest} is below {shortest}: it can never match")]
    NeverMatches {
        /// Which rule.
        rule: usize,
        /// Its shortest number.
        shortest: usize,
        /// Its longest number.
        longest: usize,
    },
    /// Two rules for the same numbers.
    #[error("rules {first} and {second} are for the same numbers: remove one")]
    Twice {
        /// The one.
        first: usize,
        /// The other.
        second: usize,
    },
}

impl TryFrom<Vec<Rule>> for Translator {
    type Error = TranslatorError;

    fn try_from(rules: Vec<Rule>) -> Result<Translator, TranslatorError> {
        Translator::new(rules)
    }
}

impl From<Translator> for Vec<Rule> {
    fn from(translator: Translator) -> Vec<Rule> {
        translator.rules
    }
}

impl Rule {
    fn is_for(&self, number: &str) -> bool {
        let length = number.chars().count();
        number.starts_with(&self.begins)
            && length >= self.length_min
            && self.length_max.is_none_or(|longest| length <= longest)
    }

    fn shortest(&self) -> usize {
        self.length_min.max(self.begins.len())
    }

    fn check(&self, rule: usize) -> Result<(), TranslatorError> {
        for text in [&self.begins, &self.add] {
            if !is_number(text) {
                return Err(TranslatorError::NotANumber { rule, text: text.clone() });
            }
        }
        let shortest = self.shortest();
        if let Some(longest) = self.length_max.filter(|longest| *longest < shortest) {
            return Err(TranslatorError::NeverMatches { rule, shortest, longest });
        }
        if self.strip > shortest {
            return Err(TranslatorError::StripsTooMuch { rule, strip: self.strip, shortest });
        }
        Ok(())
    }
}

impl Translator {
    /// A translator of these rules; their order does not matter.
    ///
    /// # Errors
    /// See [`TranslatorError`]; it names the rule and the remedy.
    pub fn new(rules: Vec<Rule>) -> Result<Translator, TranslatorError> {
        if rules.len() > RULES_MAX {
            return Err(TranslatorError::TooMany(rules.len()));
        }
        for (index, rule) in rules.iter().enumerate() {
            rule.check(index + 1)?;
            let same = |other: &Rule| {
                (&other.begins, other.length_min, other.length_max)
                    == (&rule.begins, rule.length_min, rule.length_max)
            };
            if let Some(first) = rules.iter().take(index).position(same) {
                return Err(TranslatorError::Twice { first: first + 1, second: index + 1 });
            }
        }
        Ok(Translator { rules })
    }

    /// Rewrites a number. What is no number, or would become too long, stays what it is.
    #[must_use]
    pub fn translate(&self, number: &str) -> Translated {
        let unchanged = || Translated { number: number.to_owned(), by: None };
        if !is_number(number) {
            return unchanged();
        }
        let fitting = self.rules.iter().enumerate().filter(|(_, rule)| rule.is_for(number));
        // The longest beginning wins; of two alike the one for fewer lengths is the more particular.
        let best =
            fitting.max_by_key(|(_, rule)| (rule.begins.len(), rule.length_min, rule.length_max.is_some()));
        let Some((index, rule)) = best else { return unchanged() };
        let rewritten = format!("{}{}", rule.add, number.get(rule.strip..).unwrap_or_default());
        match rewritten.len() {
            1..=DIGITS_MAX => Translated { number: rewritten, by: Some(index) },
            _ => unchanged(),
        }
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    text.len() <= DIGITS_MAX
        && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b'#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(begins: &str, strip: usize, add: &str) -> Rule {
        let (begins, add) = (begins.to_owned(), add.to_owned());
        Rule { begins, length_min: 0, length_max: None, strip, add }
    }

    fn translated(translator: &Translator, number: &str) -> String {
        translator.translate(number).number
    }

    #[test]
    fn num_25_numbers_sent_and_received_are_rewritten_by_the_longest_beginning() {
        // Sent: the outside prefix goes, national and international numbers become E.164.
        let sent =
            Translator::new(vec![rule("0", 1, ""), rule("00", 2, "+49"), rule("000", 3, "+")]).unwrap();
        assert_eq!(translated(&sent, "0110"), "110");
        assert_eq!(translated(&sent, "003012345"), "+493012345");
        assert_eq!(translated(&sent, "00033123456"), "+33123456");
        assert_eq!(sent.translate("00033123456").by, Some(2));
        // Received: one's own numbers become extensions, everything else can be dialled back.
        let received =
            Translator::new(vec![rule("+4930555", 8, ""), rule("+49", 3, "00"), rule("+", 1, "000")]);
        let received = received.unwrap();
        assert_eq!(translated(&received, "+49305552101"), "2101");
        assert_eq!(translated(&received, "+498912345"), "008912345");
        assert_eq!(translated(&received, "+33123456"), "00033123456");
        assert_eq!(received.translate("2101"), Translated { number: "2101".to_owned(), by: None });
    }

    #[test]
    fn num_25_a_rule_may_be_for_numbers_of_some_lengths_only() {
        let short = Rule { length_min: 3, length_max: Some(4), ..rule("", 0, "555") };
        let translator = Translator::new(vec![short]).unwrap();
        assert_eq!(
            ["21", "210", "2101", "21011"].map(|number| translated(&translator, number)),
            ["21", "555210", "5552101", "21011"]
        );
    }

    #[test]
    fn what_is_no_number_or_would_be_too_long_stays_as_it_is() {
        let translator = Translator::new(vec![rule("", 0, "123456789012345678901234567890")]).unwrap();
        for number in ["anonymous", "1+2", "2101", ""] {
            let expected = if number.is_empty() { "123456789012345678901234567890" } else { number };
            assert_eq!(translated(&translator, number), expected);
        }
    }

    #[test]
    fn what_is_stored_is_checked_when_it_is_read() {
        let text = r#"[{"begins":"00","strip":2,"add":"+49"}]"#;
        let translator: Translator = serde_json::from_str(text).unwrap();
        assert_eq!(translated(&translator, "00301"), "+49301");
        assert!(serde_json::from_str::<Translator>(r#"[{"begins":"x"}]"#).is_err());
        assert!(serde_json::from_str::<Translator>(r#"[{"begin":"0"}]"#).is_err());
    }

    #[test]
    fn a_slip_in_a_rule_is_named_with_the_remedy() {
        let fault = |rules: Vec<Rule>| Translator::new(rules).unwrap_err().to_string();
        assert!(fault(vec![rule("0a", 0, "")]).contains("rule 1: '0a'"));
        assert!(fault(vec![rule("0", 0, ""), rule("1", 2, "")]).contains("rule 2 strips 2"));
        assert!(fault(vec![rule("0", 0, ""), rule("0", 1, "9")]).contains("rules 1 and 2"));
        let never = Rule { length_max: Some(2), ..rule("0049", 0, "") };
        assert!(fault(vec![never]).contains("can never match"));
        assert!(fault(vec![rule("", 0, ""); RULES_MAX + 1]).contains("1001 rules"));
    }
}
