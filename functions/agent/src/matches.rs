//! What is known of the games: the totals of the games of each race, which answer every question.
//!
//! Owns the figures and how they are added up: once, so that an answer costs the same
//! from 300 games as from three million. Must never know CSV (that is `table`), nor the words of a
//! question or of an answer.

use std::{fs::File, io::Read, path::Path};

use crate::{
    race::Race,
    table::{self, TableError},
};

/// The games that are compiled in.
const SAMPLE: &str = include_str!("../data/sample.csv");

/// What the games of one race add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// How many games there are.
    pub games: u64,
    /// How many of them were won.
    pub wins: u64,
    minutes: f64,
}

impl Totals {
    /// The share of the games that were won, from 0 to 1; none of no games.
    pub fn win_rate(&self) -> Option<f64> {
        (self.games > 0).then(|| self.wins as f64 / self.games as f64)
    }

    /// How many minutes a game took on average; none of no games.
    pub fn average_minutes(&self) -> Option<f64> {
        (self.games > 0).then(|| self.minutes / self.games as f64)
    }
}

/// A table of games, added up by race.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matches {
    totals: [Totals; Race::ALL.len()],
}

impl Matches {
    /// The 300 games that are compiled in. They are sample data: made up, and no real player's.
    ///
    /// # Errors
    /// Only if the compiled-in table is bad, which a test rules out.
    pub fn sample() -> Result<Self, TableError> {
        Self::read("sample.csv", SAMPLE.as_bytes())
    }

    /// Reads the file of this path.
    ///
    /// # Errors
    /// [`TableError`] if the file cannot be read or is not a table of games.
    pub fn from_file(path: &Path) -> Result<Self, TableError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| TableError::unreadable(&name, &error))?;
        Self::read(&name, file)
    }

    /// Reads a table of games; `name` is what an error calls it.
    ///
    /// # Errors
    /// [`TableError`] if it cannot be read or is not a table of games.
    pub fn read(name: &str, mut reader: impl Read) -> Result<Self, TableError> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(|error| TableError::unreadable(name, &error))?;
        let mut matches = Self::default();
        table::read(name, &bytes, |game| {
            let totals = &mut matches.totals[game.race as usize];
            totals.games += 1;
            totals.wins += u64::from(game.won);
            totals.minutes += game.minutes;
        })?;
        Ok(matches)
    }

    /// What the games of `race` add up to.
    pub fn of(&self, race: Race) -> Totals {
        self.totals[race as usize]
    }

    /// How many games there are in all.
    pub fn games(&self) -> u64 {
        self.totals.iter().map(|totals| totals.games).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_300_games_in_which_terran_wins_58_of_100() {
        let sample = Matches::sample().unwrap();
        assert_eq!(sample.games(), 300);
        for (race, wins, minutes) in
            [(Race::Terran, 58, 14.114), (Race::Zerg, 49, 12.947), (Race::Protoss, 47, 14.285)]
        {
            let totals = sample.of(race);
            assert_eq!((totals.games, totals.wins), (100, wins), "{race:?}");
            assert_eq!(totals.win_rate(), Some(wins as f64 / 100.0));
            assert!((totals.average_minutes().unwrap() - minutes).abs() < 1e-9, "{race:?}");
        }
    }

    #[test]
    fn games_are_added_up_by_race() {
        let table = "game_id,race,result,duration_minutes\n\
            1,Zerg,win,10\n2,Terran,loss,20\n3,Zerg,loss,30\n";
        let matches = Matches::read("three", table.as_bytes()).unwrap();
        assert_eq!(matches.of(Race::Zerg), Totals { games: 2, wins: 1, minutes: 40.0 });
        assert_eq!(matches.of(Race::Terran), Totals { games: 1, wins: 0, minutes: 20.0 });
        assert_eq!(matches.of(Race::Zerg).average_minutes(), Some(20.0));
        assert_eq!(matches.of(Race::Protoss).win_rate(), None);
        assert_eq!(matches.of(Race::Protoss).average_minutes(), None);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Matches::from_file(Path::new("no/such/matches.csv")).unwrap_err().to_string();
        assert!(error.starts_with("no/such/matches.csv cannot be read: "), "{error}");
    }
}
