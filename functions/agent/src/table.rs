//! A table of games in CSV: `game_id,race,result,duration_minutes`.
//!
//! Owns the format and the sentence that tells the author of a bad table which line to mend. Must
//! never know what the games are counted for, nor where the bytes came from.
//!
//! Tolerated, because spreadsheets write them: a byte order mark, any line end, space around a
//! value, blank lines, the columns in another order, further columns. Refused, because a figure
//! would be wrong without anybody noticing: a value that cannot be read, a line too short or too
//! long, and a `game_id` that occurs twice.

use std::{collections::HashMap, fmt, io};

use csv::{ByteRecord, ReaderBuilder};

use crate::race::Race;

/// One game, as the one player saw it whose race it names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Match {
    pub(crate) race: Race,
    pub(crate) won: bool,
    pub(crate) minutes: f64,
}

/// The columns a table has to have.
const COLUMNS: [&str; 4] = ["game_id", "race", "result", "duration_minutes"];
const HEADER_NAMES: &str = "the header must name game_id,race,result,duration_minutes";

/// A game longer than a day is a slip of the pen; and without a bound a sum could be infinite.
const LONGEST_GAME_MINUTES: f64 = 1440.0;

/// How much of a bad value an error repeats.
const QUOTED_CHARS: usize = 40;

/// Why a table of games was refused: one sentence, meant for the person who wrote the table. It
/// names the file and, where the bytes could be read, the line at fault.
#[derive(Debug)]
pub struct TableError(String);

impl TableError {
    pub(crate) fn unreadable(file: &str, error: &io::Error) -> Self {
        Self(format!("{file} cannot be read: {error}"))
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TableError {}

/// Reads the table and hands each game to `keep`, in the table's order.
///
/// # Errors
/// [`TableError`] at the first line that is wrong, and for a table without games.
pub(crate) fn read(
    file: &str,
    bytes: &[u8],
    mut keep: impl FnMut(Match),
) -> Result<(), TableError> {
    let bad =
        |offset, problem| TableError(format!("{file}, line {}: {problem}", line_of(bytes, offset)));
    // `flexible`: a row of the wrong length is reported in our words. The crate skips a byte order
    // mark by itself, and then nothing is left that could make it fail on bytes in memory.
    let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut rows = reader.into_byte_records().filter_map(Result::ok).filter(|row| !blank(row));
    let Some(header) = rows.next() else {
        return Err(bad(0, format!("the table is empty; {HEADER_NAMES}")));
    };
    let columns = columns(&header).map_err(|problem| bad(offset(&header), problem))?;

    let mut first_seen = HashMap::new();
    for row in rows {
        let at = offset(&row);
        let (id, game) = game(&row, header.len(), columns).map_err(|problem| bad(at, problem))?;
        if let Some(first) = first_seen.insert(id.to_owned(), at) {
            let line = line_of(bytes, first);
            return Err(bad(at, format!("game_id {} was on line {line} already", quoted(id))));
        }
        keep(game);
    }
    if first_seen.is_empty() {
        return Err(bad(offset(&header), "there are no games below the header".to_owned()));
    }
    Ok(())
}

fn blank(row: &ByteRecord) -> bool {
    row.iter().all(|value| value.trim_ascii().is_empty())
}

fn offset(row: &ByteRecord) -> usize {
    row.position().map_or(0, |position| position.byte() as usize)
}

/// The index of each column of [`COLUMNS`], or what is wrong with the header.
fn columns(header: &ByteRecord) -> Result<[usize; COLUMNS.len()], String> {
    let mut columns = [0; COLUMNS.len()];
    for (column, name) in columns.iter_mut().zip(COLUMNS) {
        let is_named = |cell: &[u8]| cell.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
        let mut found = (0..header.len()).filter(|&index| is_named(&header[index]));
        *column = found.next().ok_or_else(|| format!("`{name}` is missing; {HEADER_NAMES}"))?;
        if found.next().is_some() {
            return Err(format!("the header names `{name}` twice"));
        }
    }
    Ok(columns)
}

/// The row's `game_id` and its game, or what is wrong with the row.
fn game(
    row: &ByteRecord,
    width: usize,
    columns: [usize; COLUMNS.len()],
) -> Result<(&str, Match), String> {
    if row.len() != width {
        return Err(format!("the header names {width} columns, here are {}", row.len()));
    }
    let mut values = [""; COLUMNS.len()];
    for ((value, column), name) in values.iter_mut().zip(columns).zip(COLUMNS) {
        *value = std::str::from_utf8(&row[column])
            .map_err(|_| format!("{name} is not UTF-8; save the table as UTF-8"))?
            .trim();
    }
    let [id, race, result, minutes] = values;
    if id.is_empty() {
        return Err("game_id must not be empty".to_owned());
    }
    let race = Race::named(race)
        .ok_or_else(|| format!("race must be Terran, Zerg or Protoss, not {}", quoted(race)))?;
    let won = result.eq_ignore_ascii_case("win");
    if !won && !result.eq_ignore_ascii_case("loss") {
        return Err(format!("result must be `win` or `loss`, not {}", quoted(result)));
    }
    // Neither an infinity nor a NaN is inside these bounds.
    let in_bounds = |minutes: &f64| *minutes > 0.0 && *minutes <= LONGEST_GAME_MINUTES;
    let minutes = minutes.parse().ok().filter(in_bounds).ok_or_else(|| {
        let quoted = quoted(minutes);
        format!(
            "duration_minutes must be a number above 0 and at most {LONGEST_GAME_MINUTES}, \
             not {quoted}"
        )
    })?;
    Ok((id, Match { race, won, minutes }))
}

/// A value from the table, fit to stand inside a sentence on a terminal.
fn quoted(value: &str) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let rest = value.chars().nth(QUOTED_CHARS).map(|_| '…');
    let shown = String::from_iter(value.chars().take(QUOTED_CHARS).map(shown).chain(rest));
    format!("`{shown}`")
}

/// The line, from 1, on which the row that was found at `offset` begins.
///
/// Counted here, and only for an error, because the csv crate says where the line end above the
/// row is: a line too few with CRLF, and more with blank lines or with CR alone.
fn line_of(bytes: &[u8], offset: usize) -> usize {
    let rest = bytes.get(offset..).unwrap_or_default();
    let start = offset + rest.iter().take_while(|byte| b"\r\n".contains(byte)).count();
    let before = bytes.get(..start).unwrap_or(bytes);
    let ends = before.iter().enumerate().filter(|&(at, byte)| {
        // CRLF is one line end: its LF is the one counted.
        *byte == b'\n' || *byte == b'\r' && before.get(at + 1) != Some(&b'\n')
    });
    1 + ends.count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = "game_id,race,result,duration_minutes\n";

    fn games(bytes: &[u8]) -> Result<Vec<Match>, String> {
        let mut games = Vec::new();
        read("m.csv", bytes, |game| games.push(game)).map_err(|error| error.to_string())?;
        Ok(games)
    }

    #[test]
    fn what_spreadsheets_write_is_read() {
        let game = |race, won, minutes| Match { race, won, minutes };
        let expected = vec![game(Race::Terran, true, 12.5), game(Race::Zerg, false, 8.0)];
        for (what, table) in [
            ("plain", format!("{HEADER}1,Terran,win,12.5\n2,Zerg,loss,8\n")),
            ("no last line end", format!("{HEADER}1,Terran,win,12.5\n2,Zerg,loss,8")),
            ("byte order mark", format!("\u{feff}{HEADER}1,Terran,win,12.5\n2,Zerg,loss,8\n")),
            ("any case", format!("{HEADER}1,TERRAN,Win,12.5\n2,zerg,LOSS,8\n").replace('g', "G")),
            ("Korean", format!("{HEADER}1,테란,win,12.5\n2,저그,loss,8\n")),
            ("space", format!("{HEADER} 1 ,\tTerran, win ,12.5 \n2,Zerg,loss,\u{a0}8\n")),
            ("quotes", format!("{HEADER}\"1\",\"Terran\",win,\"12.5\"\n2,Zerg,loss,8\n")),
            ("CRLF", format!("{HEADER}1,Terran,win,12.5\n2,Zerg,loss,8\n").replace('\n', "\r\n")),
            ("CR", format!("{HEADER}1,Terran,win,12.5\n2,Zerg,loss,8\n").replace('\n', "\r")),
            ("blank lines", format!("\n{HEADER}\n1,Terran,win,12.5\n  \n,,,\n2,Zerg,loss,8\n\n")),
            (
                "columns of its own",
                "Result,map,duration_minutes,race,game_id\nwin,A,12.5,Terran,1\nloss,,8,Zerg,2\n"
                    .to_owned(),
            ),
        ] {
            assert_eq!(games(table.as_bytes()).as_ref(), Ok(&expected), "{what}");
        }
    }

    #[test]
    fn a_bad_row_is_told_by_its_line() {
        for (row, sentence) in [
            ("1,Terran,draw,9", "result must be `win` or `loss`, not `draw`"),
            ("1,Terran,,9", "result must be `win` or `loss`, not ``"),
            ("1,Random,win,9", "race must be Terran, Zerg or Protoss, not `Random`"),
            (",Terran,win,9", "game_id must not be empty"),
            ("g2,Terran,win,9", "game_id `g2` was on line 3 already"),
            ("1,Terran,win", "the header names 4 columns, here are 3"),
            ("1,Terran,win,12,5", "the header names 4 columns, here are 5"),
            (
                "1,Terran,win,0",
                "duration_minutes must be a number above 0 and at most 1440, not `0`",
            ),
            (
                "1,Zerg,win,-3",
                "duration_minutes must be a number above 0 and at most 1440, not `-3`",
            ),
            (
                "1,Zerg,win,inf",
                "duration_minutes must be a number above 0 and at most 1440, not `inf`",
            ),
            (
                "1,Zerg,win,NaN",
                "duration_minutes must be a number above 0 and at most 1440, not `NaN`",
            ),
            ("1,Zerg,win,", "duration_minutes must be a number above 0 and at most 1440, not ``"),
            (
                "1,Zerg,win,1440.1",
                "duration_minutes must be a number above 0 and at most 1440, not `1440.1`",
            ),
            (
                "1,Zerg,\"a\u{1b}[2J\nb\",9",
                "result must be `win` or `loss`, not `a\u{fffd}[2J\u{fffd}b`",
            ),
            (
                "1,Zerg,wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww,9",
                "result must be `win` or `loss`, not `wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww…`",
            ),
        ] {
            let table =
                format!("{HEADER}g1,Zerg,win,8.5\ng2,Zerg,win,9\n\n{row}\ng4,bad,bad,bad\n");
            let expected = Err(format!("m.csv, line 5: {sentence}"));
            assert_eq!(games(table.as_bytes()), expected);
            let table = format!("\u{feff}{}", table.replace('\n', "\r\n"));
            // A line end inside quotes is part of the value, and CRLF is two characters of it.
            let expected = expected.map_err(|told| told.replace("J\u{fffd}", "J\u{fffd}\u{fffd}"));
            assert_eq!(games(table.as_bytes()), expected, "with CRLF and a byte order mark");
        }
    }

    #[test]
    fn a_bad_header_is_told() {
        const NAMES: &str = "the header must name game_id,race,result,duration_minutes";
        for (table, sentence) in [
            ("", format!("line 1: the table is empty; {NAMES}")),
            ("\u{feff}", format!("line 1: the table is empty; {NAMES}")),
            ("1,Terran,win,9\n", format!("line 1: `game_id` is missing; {NAMES}")),
            ("game_id,race,result\n", format!("line 1: `duration_minutes` is missing; {NAMES}")),
            ("game_id;race;result\n", format!("line 1: `game_id` is missing; {NAMES}")),
            ("game_id,race,race\n", "line 1: the header names `race` twice".to_owned()),
            ("\n\r\n\n \ngame_id\n", format!("line 5: `race` is missing; {NAMES}")),
            (HEADER, "line 1: there are no games below the header".to_owned()),
        ] {
            assert_eq!(games(table.as_bytes()), Err(format!("m.csv, {sentence}")), "{table:?}");
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_told_by_its_line() {
        // "저그" as Korean Windows writes it.
        let table = [HEADER.as_bytes(), b"1,Zerg,win,9\n2,\xc0\xfa\xb1\xd7,win,9\n"].concat();
        let expected = "m.csv, line 3: race is not UTF-8; save the table as UTF-8";
        assert_eq!(games(&table), Err(expected.to_owned()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            // A header gets the bytes past the first check.
            for table in [bytes.clone(), [HEADER.as_bytes(), &bytes].concat()] {
                if let Ok(games) = games(&table) {
                    prop_assert!(!games.is_empty());
                    prop_assert!(games.iter().all(|game| game.minutes > 0.0));
                }
            }
        }

        #[test]
        fn a_bad_row_is_found_wherever_it_stands(
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r"]), 1..40),
        ) {
            let mut table = HEADER.to_owned();
            for (id, end) in ends.iter().enumerate() {
                table.push_str(&format!("{id},Zerg,win,9{end}"));
            }
            table.push_str("x,Zerg,draw,9");
            let told = games(table.as_bytes()).unwrap_err();
            let place = format!("m.csv, line {}: ", ends.len() + 2);
            prop_assert!(told.starts_with(&place), "{}", told);
        }
    }
}
