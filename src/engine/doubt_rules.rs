//! `[enrolment]` of the configuration: what is done about doubtful faces.

use serde::{Deserialize, Serialize};

use super::doubts::Asked;

/// `[enrolment]`: what is done about doubtful faces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DoubtRules {
    pub duplicates: DuplicateRule,
    /// Share, 0 to 1, of people enrolled for the first time who may be taken for somebody else.
    pub duplicate_fpir: f64,
    pub disagreements: DisagreementRule,
    /// Calibrated score, 0 to 1, below which two faces of one person disagree.
    pub disagreement_score: f64,
    pub identical: IdenticalRule,
}

impl Default for DoubtRules {
    fn default() -> Self {
        DoubtRules {
            duplicates: DuplicateRule::Asked,
            duplicate_fpir: 0.01,
            disagreements: DisagreementRule::Asked,
            disagreement_score: 0.5,
            identical: IdenticalRule::Store,
        }
    }
}

/// What an insert does with a face that its person has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdenticalRule {
    /// It is stored again, except for clients that ask.
    #[default]
    Store,
    /// It is not stored again.
    Skip,
}

/// What is done about faces that are enrolled already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DuplicateRule {
    /// Told to clients that ask.
    #[default]
    Asked,
    /// Told in every answer.
    Report,
    /// They are not stored.
    Refuse,
}

/// What is done about faces unlike the person's others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DisagreementRule {
    /// Told to clients that ask.
    #[default]
    Asked,
    /// Told in every answer.
    Report,
}

impl DoubtRules {
    /// # Errors
    /// The key and what was expected.
    pub fn check(&self) -> Result<(), String> {
        if !(0.000_001..=0.1).contains(&self.duplicate_fpir) {
            return Err("`enrolment.duplicate_fpir` must be 0.000001 to 0.1".into());
        }
        if !(0.001..=0.999).contains(&self.disagreement_score) {
            return Err("`enrolment.disagreement_score` must be 0.001 to 0.999".into());
        }
        Ok(())
    }

    pub(super) fn skips_identical(&self, asked: Asked) -> bool {
        asked.skip_identical || self.identical == IdenticalRule::Skip
    }

    pub(super) fn looks_for_duplicates(&self, asked: Asked) -> bool {
        asked.duplicates || self.duplicates != DuplicateRule::Asked
    }

    pub(super) fn looks_for_disagreements(&self, asked: Asked) -> bool {
        asked.disagreements || self.disagreements != DisagreementRule::Asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_out_of_range_name_the_key() {
        for (fpir, score, key) in [
            (0.0, 0.5, "duplicate_fpir"),
            (0.01, 1.0, "disagreement_score"),
        ] {
            let rules = DoubtRules {
                duplicate_fpir: fpir,
                disagreement_score: score,
                ..DoubtRules::default()
            };
            assert!(rules.check().unwrap_err().contains(key));
        }
        DoubtRules::default().check().unwrap();
    }
}
