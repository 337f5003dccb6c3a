//! What was asked: which figures, of which races, in which language.
//!
//! Owns the reading of one text and how several texts of a conversation make one question. Must
//! never know tasks, nor the figures themselves.

use crate::{
    race::Race,
    words::{COUNTING, EVERY_RACE, GAMES, LENGTH, OPPONENTS, RACES, WIN_RATE, WINNING, Words},
};

/// A figure the table can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// The share of the games that were won.
    WinRate,
    /// How long a game took on average.
    GameLength,
}

/// The language to answer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    /// For every text with any Hangul in it.
    Korean,
}

/// What was asked, as far as it is known: without a figure or without a race there is something
/// left to ask the user, and without both it is no question for this agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) metrics: Vec<Metric>,
    pub(crate) races: Vec<Race>,
    pub(crate) language: Language,
}

impl Question {
    /// What `text` asks; any text is one, if only of nothing.
    ///
    /// A named race goes before "all" ("all Terran games"). A question about one race *against*
    /// another asks nothing we know: a figure over all games would be a wrong answer to it.
    pub(crate) fn parse(text: &str) -> Self {
        let words = Words::of(text);
        let language = if words.korean.is_empty() { Language::English } else { Language::Korean };
        if words.any(OPPONENTS) {
            return Self { metrics: Vec::new(), races: Vec::new(), language };
        }
        let named = |race: &Race| words.any(RACES[*race as usize]);
        let mut races = Vec::from_iter(Race::ALL.into_iter().filter(named));
        let win_rate = words.any(WIN_RATE) || words.any(WINNING) && words.any(COUNTING);
        let game_length = words.any(LENGTH) && (words.any(GAMES) || !races.is_empty());
        let metrics =
            [win_rate.then_some(Metric::WinRate), game_length.then_some(Metric::GameLength)];
        if races.is_empty() && words.any(EVERY_RACE) {
            races = Race::ALL.to_vec();
        }
        Self { metrics: metrics.into_iter().flatten().collect(), races, language }
    }

    /// This question, with what it lacks taken from what was said before.
    pub(crate) fn after(mut self, earlier: &Self) -> Self {
        if self.metrics.is_empty() {
            self.metrics.clone_from(&earlier.metrics);
        }
        if self.races.is_empty() {
            self.races.clone_from(&earlier.races);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Language::*, Metric::*, Race::*, *};

    const ALL: &[Race] = &Race::ALL;

    #[test]
    fn questions() {
        let table: &[(&str, &[Metric], &[Race], Language)] = &[
            ("Terran win rate", &[WinRate], &[Terran], English),
            ("What is the win rate of Zerg?", &[WinRate], &[Zerg], English),
            ("winrate PROTOSS", &[WinRate], &[Protoss], English),
            ("  zerg   WIN-RATE!! ", &[WinRate], &[Zerg], English),
            ("Zerg win %", &[WinRate], &[Zerg], English),
            ("zerg win%?", &[WinRate], &[Zerg], English),
            ("Terran's winning percentage", &[WinRate], &[Terran], English),
            ("how often does protoss win", &[WinRate], &[Protoss], English),
            ("How many games have Terrans won?", &[WinRate], &[Terran], English),
            ("what are the odds of a zerg victory", &[WinRate], &[Zerg], English),
            ("win rate", &[WinRate], &[], English),
            ("tell me the win rate", &[WinRate], &[], English),
            ("win\nrate:\tterran", &[WinRate], &[Terran], English),
            ("average game length for Zerg", &[GameLength], &[Zerg], English),
            ("how long do Terran games take", &[GameLength], &[Terran], English),
            ("How long does Zerg take?", &[GameLength], &[Zerg], English),
            ("how long is a match", &[GameLength], &[], English),
            ("How many minutes does a Protoss game last?", &[GameLength], &[Protoss], English),
            ("avg. match duration (toss)", &[GameLength], &[Protoss], English),
            ("average length", &[GameLength], &[], English),
            ("average win rate over the Terran games", &[WinRate], &[Terran], English),
            ("Zerg win rate and average game length", &[WinRate, GameLength], &[Zerg], English),
            ("win rate of Zerg and Terran", &[WinRate], &[Terran, Zerg], English),
            ("win rate of all races", &[WinRate], ALL, English),
            ("which race has the best win rate", &[WinRate], ALL, English),
            ("all win rates", &[WinRate], ALL, English),
            ("win rate per race", &[WinRate], ALL, English),
            ("win rate over all Terran games", &[WinRate], &[Terran], English),
            ("테란 승률", &[WinRate], &[Terran], Korean),
            ("테란의 승률은?", &[WinRate], &[Terran], Korean),
            ("테란승률", &[WinRate], &[Terran], Korean),
            ("Terran 승률", &[WinRate], &[Terran], Korean),
            ("terran승률", &[WinRate], &[Terran], Korean),
            ("승률 알려줘", &[WinRate], &[], Korean),
            ("프로토스가 이길 확률이 얼마야", &[WinRate], &[Protoss], Korean),
            ("토스는 얼마나 자주 이겨요?", &[WinRate], &[Protoss], Korean),
            ("저그 평균 게임 시간", &[GameLength], &[Zerg], Korean),
            ("저그의 평균 게임시간은 얼마인가요?", &[GameLength], &[Zerg], Korean),
            ("테란 경기는 얼마나 걸리나요", &[GameLength], &[Terran], Korean),
            ("저그는 얼마나 오래 해?", &[GameLength], &[Zerg], Korean),
            ("모든 종족의 승률", &[WinRate], ALL, Korean),
            ("종족별 평균 경기 시간", &[GameLength], ALL, Korean),
            ("어느 종족이 승률이 제일 높아?", &[WinRate], ALL, Korean),
            ("테란과 저그 승률, 게임 시간", &[WinRate, GameLength], &[Terran, Zerg], Korean),
            ("Terran", &[], &[Terran], English),
            ("terran!", &[], &[Terran], English),
            ("Zerg, please.", &[], &[Zerg], English),
            ("all", &[], ALL, English),
            ("All of them.", &[], ALL, English),
            ("every race", &[], ALL, English),
            ("테란", &[], &[Terran], Korean),
            ("저그요", &[], &[Zerg], Korean),
            ("모두", &[], ALL, Korean),
            ("모든 종족", &[], ALL, Korean),
        ];
        for &(text, metrics, races, language) in table {
            let expected = Question { metrics: metrics.to_vec(), races: races.to_vec(), language };
            assert_eq!(Question::parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_asks_nothing() {
        for (text, language) in [
            ("", English),
            ("?!", English),
            ("hello", English),
            ("terrance", English),
            ("Zergling", English),
            ("Mr. Terrance, unwind the protossian rater", English),
            ("Who will win the cup?", English),
            ("How long is the Nile?", English),
            ("What is the weather like?", English),
            ("win rate of Terran vs. Zerg", English),
            ("Terran win rate against Protoss", English),
            ("오늘 날씨 어때?", Korean),
            ("안녕하세요", Korean),
            ("배송은 얼마나 걸려요?", Korean),
            ("저그 상대로 테란 승률", Korean),
            ("테란 vs 저그 승률", Korean),
            ("저그전 승률", Korean),
        ] {
            let expected = Question { metrics: Vec::new(), races: Vec::new(), language };
            assert_eq!(Question::parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_earlier_text_gives_only_what_the_later_one_lacks() {
        for (earlier, later, whole) in [
            ("win rate", "Terran", "Terran win rate"),
            ("Terran", "win rate", "Terran win rate"),
            ("승률", "Zerg", "Zerg win rate"),
            ("win rate", "저그", "저그 승률"),
            ("win rate", "Zerg game length", "Zerg game length"),
            ("Terran win rate", "game length", "Terran game length"),
            ("Terran win rate", "hello", "Terran win rate"),
            ("hello", "Terran win rate", "Terran win rate"),
        ] {
            let joined = Question::parse(later).after(&Question::parse(earlier));
            assert_eq!(joined, Question::parse(whole), "{earlier:?}, then {later:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in r"[가-힣ㄱ-ㅎa-z% ]{0,20}|\PC{0,40}|(.|\n){0,40}") {
            let question = Question::parse(&text);
            let hangul = text.chars().any(|c| ('가'..='힣').contains(&c));
            prop_assert!(!hangul || question.language == Korean);
        }

        #[test]
        fn case_and_what_stands_around_a_question_do_not_matter(
            upper: [bool; 15],
            before in r"[ \t\n.,!?()-]{0,5}",
            after in r"[ \t\n.,!?()-]{0,5}",
        ) {
            let text = "terran win rate".chars().zip(upper);
            let text: String = text
                .map(|(c, upper)| if upper { c.to_ascii_uppercase() } else { c })
                .collect();
            let question = Question::parse(&format!("{before}{text}{after}"));
            prop_assert_eq!(question, Question::parse("Terran win rate"));
        }

        #[test]
        fn a_race_inside_another_word_is_not_that_race(
            before in "[a-z0-9]{0,3}",
            race in "terran|zerg|protoss",
            after in "[a-rt-z0-9][a-z0-9]{0,2}",
        ) {
            prop_assert_eq!(Question::parse(&format!("{before}{race}{after}")).races, []);
        }
    }
}
