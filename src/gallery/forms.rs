//! One name in two Unicode forms: "José" with one character for the é, and with an accent of its own behind the e.
//!
//! New names are stored in the composed form, NFC. Earlier releases stored whatever came, so a name is looked for by its exact bytes
//! first, then by its composed form, then among the stored names that have the same composed form.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The composed form of a name, NFC.
pub fn normalized(name: &str) -> Cow<'_, str> {
    let is_nfc = name.is_ascii() || is_nfc_quick(name.chars()) == IsNormalized::Yes;
    match is_nfc {
        true => Cow::Borrowed(name),
        false => Cow::Owned(name.nfc().collect()),
    }
}

/// Stored names that are not in the composed form, by that form. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Forms(Arc<BTreeMap<String, BTreeSet<String>>>);

impl Forms {
    pub fn of<'a>(names: impl Iterator<Item = &'a str>) -> Forms {
        let mut forms = Forms::default();
        names.for_each(|name| forms.add(name));
        forms
    }

    pub fn add(&mut self, name: &str) {
        let composed = normalized(name);
        if composed != name {
            let forms = Arc::make_mut(&mut self.0);
            let others = forms.entry(composed.into_owned()).or_default();
            others.insert(name.to_owned());
        }
    }

    pub fn remove(&mut self, name: &str) {
        if self.0.is_empty() {
            return;
        }
        let composed = normalized(name);
        if composed != name && self.0.contains_key(&*composed) {
            let forms = Arc::make_mut(&mut self.0);
            if let Some(others) = forms.get_mut(&*composed) {
                others.remove(name);
                if others.is_empty() {
                    forms.remove(&*composed);
                }
            }
        }
    }

    /// Forms of the name `composed`, except itself, in byte order.
    pub fn others(&self, composed: &str) -> impl Iterator<Item = &str> {
        (self.0.get(composed).into_iter())
            .flatten()
            .map(String::as_str)
    }

    /// The composed forms of which others are stored.
    pub fn composed(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The name under which whoever is asked for as `name` is stored: the exact bytes before the composed form, and that before
    /// the others.
    pub fn stored_as(&self, name: &str, is_stored: impl Fn(&str) -> bool) -> Option<String> {
        if is_stored(name) {
            return Some(name.to_owned());
        }
        let composed = normalized(name);
        if composed != name && is_stored(&composed) {
            return Some(composed.into_owned());
        }
        self.others(&composed)
            .find(|other| is_stored(other))
            .map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPOSED: &str = "Jos\u{e9}";
    const DECOMPOSED: &str = "Jose\u{301}";

    #[test]
    fn the_composed_form_is_nfc_and_other_names_are_left_alone() {
        assert_eq!(normalized(DECOMPOSED), COMPOSED);
        // Two accents in the other order, a Hangul syllable in parts, the sign for ångström.
        assert_eq!(normalized("a\u{323}\u{302}"), "\u{1ead}");
        assert_eq!(normalized("\u{1112}\u{1161}\u{11ab}"), "\u{d55c}");
        assert_eq!(normalized("\u{212b}"), "\u{c5}");
        for name in ["ada", COMPOSED, "张三", "山田　太郎", ""] {
            assert!(matches!(normalized(name), Cow::Borrowed(_)), "{name}");
        }
    }

    #[test]
    fn exact_bytes_come_before_the_composed_form_and_that_before_the_others() {
        let stored = |names: &'static [&'static str]| {
            let forms = Forms::of(names.iter().copied());
            move |name: &str| forms.stored_as(name, |asked| names.contains(&asked))
        };
        let both = stored(&[COMPOSED, DECOMPOSED]);
        assert_eq!(both(DECOMPOSED).as_deref(), Some(DECOMPOSED));
        assert_eq!(both(COMPOSED).as_deref(), Some(COMPOSED));
        let composed = stored(&[COMPOSED]);
        assert_eq!(composed(DECOMPOSED).as_deref(), Some(COMPOSED));
        let decomposed = stored(&[DECOMPOSED]);
        assert_eq!(decomposed(COMPOSED).as_deref(), Some(DECOMPOSED));
        assert_eq!(decomposed("Jose"), None);
    }

    #[test]
    fn who_left_is_no_form_any_more() {
        let mut forms = Forms::of([COMPOSED, DECOMPOSED].into_iter());
        assert_eq!(forms.composed().collect::<Vec<_>>(), [COMPOSED]);
        let before = forms.clone();
        forms.remove(COMPOSED);
        assert_eq!(forms.others(COMPOSED).collect::<Vec<_>>(), [DECOMPOSED]);
        forms.remove(DECOMPOSED);
        assert_eq!(forms.composed().count(), 0);
        assert_eq!(before.others(COMPOSED).count(), 1);
    }
}
