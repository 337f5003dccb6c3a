//! The races somebody plays, and their names.

/// A race somebody plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Race {
    /// Terran, 테란.
    Terran,
    /// Zerg, 저그.
    Zerg,
    /// Protoss, 프로토스.
    Protoss,
}

impl Race {
    /// Every race, in the order in which an answer lists them.
    pub const ALL: [Self; 3] = [Self::Terran, Self::Zerg, Self::Protoss];

    /// The race's English name.
    pub fn english(self) -> &'static str {
        match self {
            Self::Terran => "Terran",
            Self::Zerg => "Zerg",
            Self::Protoss => "Protoss",
        }
    }

    /// The race's Korean name.
    pub fn korean(self) -> &'static str {
        match self {
            Self::Terran => "테란",
            Self::Zerg => "저그",
            Self::Protoss => "프로토스",
        }
    }

    /// The race of exactly this name, English in any case or Korean.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|race| race.english().eq_ignore_ascii_case(name) || race.korean() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_race_goes_by_both_its_names() {
        for race in Race::ALL {
            assert_eq!(Race::named(race.korean()), Some(race));
            assert_eq!(Race::named(&race.english().to_uppercase()), Some(race));
        }
        assert_eq!(Race::named("Terrance"), None);
        assert_eq!(Race::named(""), None);
    }
}
