//! The words of a text, and the keywords that are looked up among them.
//!
//! Owns how a keyword is matched and what people say for a figure and for a race, in English and in
//! Korean. Must never know what is done with a question. A new keyword costs one word in a list
//! here and one line in the tables of `question`'s tests.

/// The words of one text, without their order.
pub(crate) struct Words {
    /// Each in lower case; a percent sign is a word too.
    english: Vec<String>,
    /// All Hangul, without the spaces: "게임 시간" is written "게임시간" as well.
    pub(crate) korean: String,
}

impl Words {
    pub(crate) fn of(text: &str) -> Self {
        let text = text.to_lowercase().replace('%', " percent ");
        let english = text.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_owned);
        Self { english: english.collect(), korean: text.chars().filter(is_hangul).collect() }
    }

    /// Whether one of these keywords, which spaces separate, is in the text.
    ///
    /// An English one is a whole word, with or without a plural's "s". A Korean one may be a part of
    /// a word, whose particles stand behind it (테란의, 승률은).
    pub(crate) fn any(&self, keywords: &str) -> bool {
        let is = |word: &str, keyword| word == keyword || word.strip_suffix('s') == Some(keyword);
        keywords.split_whitespace().any(|keyword| match keyword.is_ascii() {
            true => self.english.iter().any(|word| is(word, keyword)),
            false => self.korean.contains(keyword),
        })
    }
}

fn is_hangul(c: &char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7a3}')
}

/// The names of each race, in the order of [`Race::ALL`](crate::Race::ALL). 토스 is in 프로토스 too.
pub(crate) const RACES: [&str; 3] = ["terran 테란", "zerg 저그", "protoss toss 토스"];

pub(crate) const WIN_RATE: &str = "winrate 승률 승율";
/// "Who wins the cup?" is no question for us: a word of winning needs one of counting.
pub(crate) const WINNING: &str = "win won winning victory 이길 이기 이겨";
pub(crate) const COUNTING: &str =
    "rate ratio percent percentage often many likely chance odds probability 확률 비율 얼마나";

pub(crate) const LENGTH: &str = "long length minute duration 시간 길이 오래 얼마나걸";
/// "How long is the Nile?" is no question for us: a word of length needs one of games, or a race.
pub(crate) const GAMES: &str = "game match average 게임 경기 평균";

pub(crate) const EVERY_RACE: &str =
    "all every each which per compare 모든 모두 전부 전체 종족별 각종족 어느종족 어떤종족 비교";

/// "The win rate of Terran against Zerg": the table does not know who the opponent was.
pub(crate) const OPPONENTS: &str = "vs versus against 상대 테란전승 저그전승 토스전승";
