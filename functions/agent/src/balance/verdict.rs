//! When a race is out of balance, and what is said of it, in the language of the question.
//!
//! Owns: the threshold, the figures as they were told, the table and the verdict. Must never know:
//! whom they were asked of, and how.

use std::{fmt, str::FromStr};

use a2a_core::{Part, PartContent};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answer::{race_name, rate},
    question::Language,
    race::Race,
};

/// How far from 50 % a balanced race's win rate may be, in tenths of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold(u64);

impl Default for Threshold {
    /// Five points: 45 % to 55 % is balanced.
    fn default() -> Self {
        Self(50)
    }
}

impl FromStr for Threshold {
    type Err = &'static str;

    fn from_str(points: &str) -> Result<Self, Self::Err> {
        let (whole, tenth) = points.trim().split_once('.').unwrap_or((points.trim(), "0"));
        let digits = |text: &str| {
            let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            all.then(|| text.parse::<u64>().ok()).flatten()
        };
        let tenths = digits(whole).zip(digits(tenth).filter(|_| tenth.len() == 1));
        tenths
            .and_then(|(whole, tenth)| whole.checked_mul(10)?.checked_add(tenth))
            .filter(|tenths| *tenths <= 500)
            .map(Self)
            .ok_or("give points from 0 to 50 with at most one decimal, for example 5 or 2.5")
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self.0 % 10 {
            0 => write!(formatter, "{}", self.0 / 10),
            tenth => write!(formatter, "{}.{tenth}", self.0 / 10),
        }
    }
}

/// How a race stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Balanced,
    WinsTooOften,
    WinsTooSeldom,
    /// It has no games.
    Unknown,
}

impl Standing {
    /// What it is called: in data, in English and in Korean.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Balanced => ("balanced", "balanced", "균형"),
            Self::WinsTooOften => ("wins_too_often", "wins too often", "너무 자주 이김"),
            Self::WinsTooSeldom => ("wins_too_seldom", "wins too seldom", "너무 드물게 이김"),
            Self::Unknown => ("unknown", "no games", "경기 없음"),
        }
    }
}

/// A race's win rate, as the peer told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Figure {
    race: Race,
    wins: u64,
    games: u64,
}

/// The peer's data on a win rate.
#[derive(Deserialize)]
struct Told {
    metric: String,
    race: String,
    wins: u64,
    games: u64,
}

impl Figure {
    /// The race's figure among what the peer made, the last one if there are several; none where
    /// there is none that can be true.
    pub(super) fn read(race: Race, made: &[Part]) -> Option<Self> {
        let told = made.iter().rev().filter_map(|part| match &part.content {
            PartContent::Data(data) => data.to::<Told>().ok(),
            _ => None,
        });
        let mut of_race = told.filter(|it| it.metric == "win_rate");
        let Told { wins, games, .. } = of_race.find(|it| Race::named(&it.race) == Some(race))?;
        (wins <= games).then_some(Self { race, wins, games })
    }

    fn standing(self, threshold: Threshold) -> Standing {
        let Self { wins, games, .. } = self;
        // In whole numbers: a float would put some races that are just within outside.
        let (double, games) = (2 * u128::from(wins), u128::from(games));
        let apart = double.abs_diff(games) * 500;
        match () {
            () if games == 0 => Standing::Unknown,
            () if apart <= u128::from(threshold.0) * games => Standing::Balanced,
            () if double > games => Standing::WinsTooOften,
            () => Standing::WinsTooSeldom,
        }
    }

    fn rate(self, language: Language) -> String {
        match self.games {
            0 => "-".to_owned(),
            games => rate(self.wins, games, language),
        }
    }
}

/// What is concluded from the figures of all races about those that were asked about.
pub(super) struct Verdict<'a> {
    pub(super) figures: &'a [Figure],
    pub(super) about: &'a [Race],
    pub(super) threshold: Threshold,
    pub(super) language: Language,
}

impl Verdict<'_> {
    /// All figures: a table for a person, and data for a program.
    pub(super) fn table(&self) -> Vec<Part> {
        let heading = self.language.pick("Race | Win rate | Verdict", "종족 | 승률 | 판정");
        let rows = self.figures.iter().map(|figure| {
            let race = race_name(figure.race, self.language);
            let (_, english, korean) = figure.standing(self.threshold).names();
            let standing = self.language.pick(english, korean);
            format!("\n{race} | {} | {standing}", figure.rate(self.language))
        });
        let text = heading.to_owned() + &rows.collect::<String>();
        vec![Part::text(text), Part::data(&self.data())]
    }

    fn data(&self) -> Value {
        let races = self.figures.iter().map(|&figure| {
            let Figure { race, wins, games } = figure;
            let (standing, ..) = figure.standing(self.threshold).names();
            json!({
                "race": race.english().to_lowercase(), "wins": wins, "games": games,
                "winRate": (games > 0).then(|| wins as f64 / games as f64), "verdict": standing,
            })
        });
        json!({ "thresholdPoints": self.threshold.0 as f64 / 10.0, "races": Value::from_iter(races) })
    }

    /// The conclusion, with the numbers.
    pub(super) fn text(&self) -> String {
        let about = self.figures.iter().filter(|figure| self.about.contains(&figure.race));
        let standings = about.map(|figure| (*figure, figure.standing(self.threshold)));
        let standings = Vec::from_iter(standings);
        let mut said = Vec::from_iter(self.overall(&standings).map(str::to_owned));
        said.extend(
            standings.into_iter().map(|(figure, standing)| self.sentence(figure, standing)),
        );
        said.join(" ")
    }

    /// The sentence on several races together; none where nothing can be said.
    fn overall(&self, standings: &[(Figure, Standing)]) -> Option<&'static str> {
        let is = |wanted: Standing| standings.iter().any(|(_, standing)| *standing == wanted);
        let out = is(Standing::WinsTooOften) || is(Standing::WinsTooSeldom);
        if standings.len() < 2 || !out && is(Standing::Unknown) {
            return None;
        }
        Some(match out {
            true => {
                self.language.pick("The races are not balanced.", "종족 밸런스가 맞지 않습니다.")
            }
            false => self.language.pick("The races are balanced.", "종족 밸런스가 맞습니다."),
        })
    }

    fn sentence(&self, figure: Figure, standing: Standing) -> String {
        let race = race_name(figure.race, self.language);
        let (rate, threshold) = (figure.rate(self.language), self.threshold);
        let (above_or_below, higher_or_lower) = match standing {
            Standing::WinsTooOften => ("above", "높습니다"),
            _ => ("below", "낮습니다"),
        };
        match standing {
            Standing::Unknown => self.language.text(
                format_args!("Nothing can be said of {race}: it has no games."),
                format_args!("{race}: 경기가 없어 판단할 수 없습니다."),
            ),
            Standing::Balanced => self.language.text(
                format_args!(
                    "{race} is balanced: it wins {rate}, within {threshold} points of 50%."
                ),
                format_args!(
                    "{race}: 밸런스가 맞습니다. 승률 {rate}, 50% ± {threshold}%p 안입니다."
                ),
            ),
            Standing::WinsTooOften | Standing::WinsTooSeldom => self.language.text(
                format_args!(
                    "{race} is out of balance: it wins {rate}, more than {threshold} points \
                     {above_or_below} 50%."
                ),
                format_args!(
                    "{race}: 밸런스가 맞지 않습니다. 승률 {rate}, 50% ± {threshold}%p보다 \
                     {higher_or_lower}."
                ),
            ),
        }
    }
}
