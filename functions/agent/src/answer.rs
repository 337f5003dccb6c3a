//! What is said: the sentences, in the language of the question, and the same figures as JSON.
//!
//! Owns every text a user reads, and the form of the numbers. Must never know how a question was
//! read, nor tasks and events.

use std::fmt::Arguments;

use serde_json::{Value, json};

use crate::{
    matches::{Matches, Totals},
    question::{Language, Metric, Question},
    race::Race,
};

impl Language {
    /// The one of the two that is in this language.
    pub(crate) fn pick<T>(self, english: T, korean: T) -> T {
        match self {
            Self::English => english,
            Self::Korean => korean,
        }
    }

    /// The text in this language; only that one is formatted.
    pub(crate) fn text(self, english: Arguments<'_>, korean: Arguments<'_>) -> String {
        self.pick(english, korean).to_string()
    }
}

/// One figure of one race.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    metric: Metric,
    race: Race,
    totals: Totals,
}

impl Figure {
    /// The figures `question` asks for, by race.
    pub(crate) fn all(question: &Question, matches: &Matches) -> Vec<Self> {
        let figure = |race, metric| Self { metric, race, totals: matches.of(race) };
        let of = |&race| question.metrics.iter().map(move |&metric| figure(race, metric));
        question.races.iter().flat_map(of).collect()
    }

    /// The figure in words: "Terran win rate 58% (58 of 100)".
    pub(crate) fn text(&self, language: Language) -> String {
        let Totals { games, wins, .. } = self.totals;
        let race = race_name(self.race, language);
        let what = metric_name(self.metric, language);
        let Some(minutes) = self.totals.average_minutes() else {
            return language.text(
                format_args!("{race} {what} unknown: no {race} games"),
                format_args!("{race} {what} 알 수 없음 ({race} 경기 없음)"),
            );
        };
        match self.metric {
            Metric::WinRate => format!("{race} {what} {}", rate(wins, games, language)),
            Metric::GameLength => {
                let s = if games == 1 { "" } else { "s" };
                language.text(
                    format_args!("{race} {what} {minutes:.1} minutes ({games} game{s})"),
                    format_args!("{race} {what} {minutes:.1}분 ({games}경기)"),
                )
            }
        }
    }

    /// The figure for a program to read; of no games the figure itself is null.
    pub(crate) fn data(&self) -> Value {
        let Totals { games, wins, .. } = self.totals;
        let race = self.race.english().to_lowercase();
        match self.metric {
            Metric::WinRate => json!({
                "metric": "win_rate", "race": race, "wins": wins, "games": games,
                "winRate": self.totals.win_rate(),
            }),
            Metric::GameLength => json!({
                "metric": "average_game_length", "race": race, "games": games,
                // A sum of fractions carries noise far behind the point: 14.114000000000003.
                "averageMinutes":
                    self.totals.average_minutes().map(|minutes| (minutes * 1e3).round() / 1e3),
            }),
        }
    }
}

/// What the result is called: "Win rate".
pub(crate) fn title(question: &Question) -> &'static str {
    match question.metrics[..] {
        [Metric::WinRate] => question.language.pick("Win rate", "승률"),
        [Metric::GameLength] => question.language.pick("Average game length", "평균 게임 시간"),
        _ => question.language.pick("Figures", "통계"),
    }
}

/// What is said while the agent works.
pub(crate) fn thinking(question: &Question, matches: &Matches) -> String {
    let games: u64 = question.races.iter().map(|&race| matches.of(race).games).sum();
    let races = races(question);
    question.language.text(
        format_args!("Analysing the games of {races}: {games} in the table."),
        format_args!("{races} 경기 {games}개를 분석하고 있습니다."),
    )
}

/// Asks which race is meant.
pub(crate) fn which_race(question: &Question) -> String {
    let what = metrics(question);
    question.language.text(
        format_args!(
            "Which race would you like the {what} of: Terran, Zerg, Protoss or all of them?"
        ),
        format_args!(
            "어느 종족의 {what}을 알고 싶으신가요? 테란, 저그, 프로토스 또는 모든 종족 중에서 골라 \
             주세요."
        ),
    )
}

/// Asks which figure is meant.
pub(crate) fn which_metric(question: &Question) -> String {
    let races = races(question);
    question.language.text(
        format_args!(
            "What would you like to know about {races}: the win rate or the average game length?"
        ),
        format_args!(
            "{races}에 대해 무엇을 알고 싶으신가요? 승률과 평균 게임 시간 중에서 골라 주세요."
        ),
    )
}

/// What this agent can do.
pub(crate) fn help(language: Language) -> &'static str {
    language.pick(
        "I can tell you the win rate and the average game length of Terran, Zerg and Protoss, \
         over all the games in my table. Ask me, for example: \"Terran win rate\".",
        "제 표에 있는 모든 경기를 기준으로 테란, 저그, 프로토스의 승률과 평균 게임 시간을 알려 드릴 \
         수 있습니다. 예를 들어 \"테란 승률\"이라고 물어보세요.",
    )
}

/// A win rate and what it is made of: "58% (58 of 100)".
pub(crate) fn rate(wins: u64, games: u64, language: Language) -> String {
    let percent = percent(wins, games);
    language.text(
        format_args!("{percent} ({wins} of {games})"),
        format_args!("{percent} ({games}경기 중 {wins}승)"),
    )
}

/// The part of `games` that `wins` is, to one decimal unless it is whole: 58%, 33.3%.
fn percent(wins: u64, games: u64) -> String {
    // Half up, in whole numbers: a float would round some halves down.
    let tenths = (wins * 1000 + games / 2) / games;
    if (wins * 100).is_multiple_of(games) {
        format!("{}%", tenths / 10)
    } else {
        format!("{}.{}%", tenths / 10, tenths % 10)
    }
}

pub(crate) fn race_name(race: Race, language: Language) -> &'static str {
    language.pick(race.english(), race.korean())
}

fn metric_name(metric: Metric, language: Language) -> &'static str {
    match metric {
        Metric::WinRate => language.pick("win rate", "승률"),
        Metric::GameLength => language.pick("average game length", "평균 게임 시간"),
    }
}

fn races(question: &Question) -> String {
    let names = question.races.iter().map(|&race| race_name(race, question.language));
    listed(&Vec::from_iter(names), question.language)
}

fn metrics(question: &Question) -> String {
    let names = question.metrics.iter().map(|&metric| metric_name(metric, question.language));
    listed(&Vec::from_iter(names), question.language)
}

/// "a", "a and b", "a, b and c".
fn listed(names: &[&str], language: Language) -> String {
    match (names, language) {
        ([before @ .., last], Language::English) if !before.is_empty() => {
            format!("{} and {last}", before.join(", "))
        }
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, matches: &Matches) -> Vec<String> {
        let question = Question::parse(text);
        let figures = Figure::all(&question, matches);
        figures.iter().map(|figure| figure.text(question.language)).collect()
    }

    #[test]
    fn figures_in_words() {
        let sample = Matches::sample().unwrap();
        for (question, expected) in [
            ("Terran win rate", &["Terran win rate 58% (58 of 100)"][..]),
            ("테란 승률", &["테란 승률 58% (100경기 중 58승)"]),
            ("Zerg game length", &["Zerg average game length 12.9 minutes (100 games)"]),
            ("저그 평균 게임 시간", &["저그 평균 게임 시간 12.9분 (100경기)"]),
            (
                "Protoss win rate and game length",
                &[
                    "Protoss win rate 47% (47 of 100)",
                    "Protoss average game length 14.3 minutes (100 games)",
                ],
            ),
            (
                "모든 종족 승률",
                &[
                    "테란 승률 58% (100경기 중 58승)",
                    "저그 승률 49% (100경기 중 49승)",
                    "프로토스 승률 47% (100경기 중 47승)",
                ],
            ),
        ] {
            assert_eq!(said(question, &sample), expected, "{question}");
        }
    }

    #[test]
    fn figures_as_data() {
        let sample = Matches::sample().unwrap();
        for (question, expected) in [
            (
                "Terran win rate",
                json!([{"metric": "win_rate", "race": "terran", "wins": 58, "games": 100,
                    "winRate": 0.58}]),
            ),
            (
                "테란, 저그 게임 시간",
                json!([
                    {"metric": "average_game_length", "race": "terran", "games": 100,
                        "averageMinutes": 14.114},
                    {"metric": "average_game_length", "race": "zerg", "games": 100,
                        "averageMinutes": 12.947},
                ]),
            ),
        ] {
            let figures = Figure::all(&Question::parse(question), &sample);
            let data = Value::from_iter(figures.iter().map(Figure::data));
            assert_eq!(data, expected, "{question}");
        }
    }

    #[test]
    fn a_race_without_games_has_no_figure() {
        let table = "game_id,race,result,duration_minutes\n1,Zerg,win,8\n";
        let matches = Matches::read("one", table.as_bytes()).unwrap();
        assert_eq!(
            said("win rate of Zerg and Terran", &matches),
            ["Terran win rate unknown: no Terran games", "Zerg win rate 100% (1 of 1)"]
        );
        assert_eq!(
            said("테란 게임 시간", &matches),
            ["테란 평균 게임 시간 알 수 없음 (테란 경기 없음)"]
        );
        assert_eq!(
            said("Zerg game length", &matches),
            ["Zerg average game length 8.0 minutes (1 game)"]
        );
        let none = Figure::all(&Question::parse("Terran win rate"), &matches);
        assert_eq!(
            none[0].data(),
            json!({"metric": "win_rate", "race": "terran", "wins": 0, "games": 0, "winRate": null})
        );
    }

    #[test]
    fn percentages_are_whole_or_have_one_decimal() {
        for (wins, games, expected) in [
            (58, 100, "58%"),
            (1, 2, "50%"),
            (0, 7, "0%"),
            (7, 7, "100%"),
            (1, 3, "33.3%"),
            (2, 3, "66.7%"),
            (1, 8, "12.5%"),
            (1, 16, "6.3%"),
            (578, 1000, "57.8%"),
        ] {
            assert_eq!(percent(wins, games), expected, "{wins} of {games}");
        }
    }

    #[test]
    fn questions_back() {
        for (text, expected) in [
            (
                "win rate",
                "Which race would you like the win rate of: Terran, Zerg, Protoss or all of them?",
            ),
            (
                "승률, 게임 시간",
                "어느 종족의 승률, 평균 게임 시간을 알고 싶으신가요? 테란, 저그, 프로토스 또는 모든 종족 중에서 골라 주세요.",
            ),
        ] {
            assert_eq!(which_race(&Question::parse(text)), expected);
        }
        for (text, expected) in [
            (
                "all",
                "What would you like to know about Terran, Zerg and Protoss: the win rate or the \
                 average game length?",
            ),
            (
                "테란",
                "테란에 대해 무엇을 알고 싶으신가요? 승률과 평균 게임 시간 중에서 골라 주세요.",
            ),
        ] {
            assert_eq!(which_metric(&Question::parse(text)), expected);
        }
    }

    #[test]
    fn what_is_offered_is_understood() {
        // Each text names figures and races a user may answer with, or an example to repeat.
        let sample = Matches::sample().unwrap();
        for language in [Language::English, Language::Korean] {
            let example = help(language).split('"').nth(1).unwrap();
            let figures = said(example, &sample);
            assert!(figures[0].contains("58%"), "{figures:?}");
        }
        let asked = Question::parse(&which_race(&Question::parse("win rate")));
        assert_eq!(asked.races, Race::ALL);
        let asked = Question::parse(&which_metric(&Question::parse("테란")));
        assert_eq!(asked.metrics, [Metric::WinRate, Metric::GameLength]);
    }

    #[test]
    fn what_is_said_while_working() {
        let sample = Matches::sample().unwrap();
        for (question, expected) in [
            ("Zerg win rate", "Analysing the games of Zerg: 100 in the table."),
            ("all win rates", "Analysing the games of Terran, Zerg and Protoss: 300 in the table."),
            ("테란 승률", "테란 경기 100개를 분석하고 있습니다."),
        ] {
            assert_eq!(thinking(&Question::parse(question), &sample), expected);
        }
    }
}
