//! The vocabulary: what people say for a figure and for a race, in English and in Korean.
//!
//! Owns the lists of phrases and how a text is looked up in them. Must never know what is done with
//! a question. A new phrase costs one entry here and one line in the tables of `question`'s tests.

use crate::race::Race;

/// A text as the lists below are looked up in it.
pub(crate) struct Words {
    /// Lower case, one space around each word, nothing else: a phrase with its spaces is found
    /// only as whole words. Words of another script are words of their own ("terran승률" is two).
    spaced: String,
    /// The same without spaces: Korean is written with and without them ("게임 시간", "게임시간").
    joined: String,
    /// Whether the text holds any Hangul.
    pub(crate) korean: bool,
}

/// What a character does to the word it stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gap,
    Hangul,
    Letter,
    Percent,
}

impl Words {
    pub(crate) fn of(text: &str) -> Self {
        let (mut spaced, mut korean, mut last) = (" ".to_owned(), false, Kind::Gap);
        for c in text.chars() {
            let kind = kind(c);
            if kind != last && !spaced.ends_with(' ') {
                spaced.push(' ');
            }
            match kind {
                Kind::Gap => {}
                // "Zerg win %" is a question too.
                Kind::Percent => spaced.push_str("percent"),
                Kind::Hangul | Kind::Letter => spaced.extend(c.to_lowercase()),
            }
            korean |= kind == Kind::Hangul;
            last = kind;
        }
        if !spaced.ends_with(' ') {
            spaced.push(' ');
        }
        let joined = spaced.replace(' ', "");
        Self { spaced, joined, korean }
    }

    /// Whether the text asks for a win rate.
    pub(crate) fn win_rate(&self) -> bool {
        self.has(WIN_RATE) || self.has(HOW_OFTEN) && self.has(WINNING)
    }

    /// Whether the text asks for an average game length.
    pub(crate) fn game_length(&self) -> bool {
        self.has(GAME_LENGTH) || self.about_games() && self.has(HOW_LONG)
    }

    /// "How long is the Nile?" is no question for us.
    fn about_games(&self) -> bool {
        self.has(GAMES) || Race::ALL.into_iter().any(|race| self.race(race))
    }

    /// Whether the text names this race.
    pub(crate) fn race(&self, race: Race) -> bool {
        let (english, korean) = match race {
            Race::Terran => (TERRAN, "테란"),
            Race::Zerg => (ZERG, "저그"),
            // 토스 is short for 프로토스, and inside it.
            Race::Protoss => (PROTOSS, "토스"),
        };
        self.has(english) || self.spaced.contains(korean)
    }

    /// Whether the text says "every race"; beside a figure ("all win rates") fewer words do.
    pub(crate) fn every_race(&self, beside_a_figure: bool) -> bool {
        self.has(EVERY_RACE)
            || beside_a_figure && self.has(EVERY)
            || EVERY_ALONE.split(", ").any(|phrase| phrase == self.spaced.trim())
    }

    /// Whether the text asks about one race's games against another's.
    pub(crate) fn opponents(&self) -> bool {
        self.has(OPPONENTS)
    }

    /// Whether the text asks for the balance of races.
    #[cfg(feature = "balance")]
    pub(crate) fn balance(&self) -> bool {
        self.has(BALANCE)
    }

    /// Whether one of these phrases stands there: in whole words, and in Korean, whose words carry
    /// their particles behind them (테란의, 승률은), anywhere.
    fn has(&self, phrases: &str) -> bool {
        let whole = |phrase: &str| {
            self.spaced.match_indices(phrase).any(|(at, _)| {
                self.spaced[..at].ends_with(' ')
                    && self.spaced[at + phrase.len()..].starts_with(' ')
            })
        };
        phrases.split(", ").any(|phrase| match phrase.is_ascii() {
            true => whole(phrase),
            false => self.korean && self.joined.contains(phrase),
        })
    }
}

fn kind(c: char) -> Kind {
    match c {
        '%' => Kind::Percent,
        '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7a3}' => Kind::Hangul,
        _ if c.is_alphanumeric() => Kind::Letter,
        _ => Kind::Gap,
    }
}

const TERRAN: &str = "terran, terrans";
const ZERG: &str = "zerg, zergs";
const PROTOSS: &str = "protoss, toss";

const WIN_RATE: &str = "win rate, win rates, winrate, winrates, winning rate, win ratio, win percent, \
    win percentage, winning percentage, \
    승률, 승율, 이길확률, 이기는확률, 이기는비율, 얼마나자주이, 얼마나이기, 얼마나이겨";
// "Who wins the cup?" is no question for us: a word of winning needs one of counting.
const WINNING: &str = "win, wins, won, winning, victory, victories";
const HOW_OFTEN: &str = "how often, how many, how likely, how frequently, chance, chances, odds, \
    probability, likelihood, percent, percentage, rate, ratio, share";

const GAME_LENGTH: &str = "average length, average duration, average time, game time, play time, \
    playtime, 게임시간, 게임길이, 경기시간, 경기길이, 플레이시간, 플레이타임, 평균시간, 평균길이";
const HOW_LONG: &str = "how long, how many minutes, length, lengths, duration, durations, \
    소요시간, 얼마나걸, 얼마나길, 얼마나오래";
const GAMES: &str = "game, games, match, matches, 게임, 경기";

const EVERY_RACE: &str = "all races, every race, each race, all three, per race, by race, \
    모든종족, 전종족, 각종족, 종족별, 세종족";
// "Is that all?" asks for nothing, so these need a figure beside them ...
const EVERY: &str =
    "all, every, each, which race, compare, 모두, 전부, 전체, 어느종족, 어떤종족, 비교";
// ... or are the whole of the text, as the answer to "which race?".
const EVERY_ALONE: &str =
    "all, all of them, all three, every, everything, 모두, 전부, 전체, 모두요, 전부요, 다";

// "The win rate of Terran against Zerg": the table does not know who the opponent was.
const OPPONENTS: &str = "vs, versus, against, 상대, 테란전승, 저그전승, 토스전승";

#[cfg(feature = "balance")]
const BALANCE: &str = "balance, balanced, imbalanced, unbalanced, overpowered, underpowered, \
    too strong, too weak, 밸런스, 발란스, 균형, 사기";
