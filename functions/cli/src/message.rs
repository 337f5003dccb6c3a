//! The message that words, files and data make, and a card from its file.
//!
//! Owns: reading them from where they are. Must never know: what the agent makes of them.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use a2a_core::{AgentCard, Error, Message, Part, SendMessageConfiguration, SendMessageRequest};
use serde_json::Value;
use uuid::Uuid;

use crate::options::{FileLocation, Said};

/// What is to be sent, read from where it is.
///
/// # Errors
/// What cannot be read, in a sentence.
pub(crate) fn request(said: &Said, return_immediately: bool) -> Result<SendMessageRequest, Error> {
    let text = match &*said.text {
        [dash] if dash == "-" => from_stdin("message")?,
        words => words.join(" "),
    };
    let text = Some(text).filter(|text| !text.is_empty()).map(Part::text);
    let files = said.file.iter().map(|location| file(&FileLocation::of(location)));
    let data = said.data.iter().map(|data| self::data(data));
    let parts: Vec<Part> =
        text.map(Ok).into_iter().chain(files).chain(data).collect::<Result<_, _>>()?;
    if parts.is_empty() {
        return Err(wrong("message", "is empty: say something, or send a --file or --data"));
    }
    // Under its name it is the same message each time.
    let id = said.key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let mut message = Message::user(id, parts);
    message.context_id = said.context.as_deref().map(Into::into);
    message.task_id = said.task.as_deref().map(Into::into);
    let configuration = SendMessageConfiguration { return_immediately, ..Default::default() };
    let configuration = return_immediately.then_some(configuration);
    Ok(SendMessageRequest { message, configuration, ..Default::default() })
}

/// The card in that file; `-` is standard input.
///
/// # Errors
/// What cannot be read, in a sentence.
pub(crate) fn card(path: &Path) -> Result<AgentCard, Error> {
    let json = if path.as_os_str() == "-" { from_stdin("card")?.into_bytes() } else { read(path)? };
    serde_json::from_slice(&json)
        .map_err(|error| wrong("card", format!("is no agent's card: {error}")))
}

fn from_stdin(what: &str) -> Result<String, Error> {
    let mut text = String::new();
    let read = io::stdin().read_to_string(&mut text);
    read.map_err(|error| wrong(what, format!("cannot be read from standard input: {error}")))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

fn file(location: &FileLocation) -> Result<Part, Error> {
    Ok(match location {
        FileLocation::Url(url) => Part::url(url.as_str()).typed(media_type(url)),
        FileLocation::Path(path) => {
            let part = Part::raw(read(path)?).typed(media_type(&path.to_string_lossy()));
            match path.file_name() {
                Some(name) => part.named(name.to_string_lossy().as_ref()),
                None => part,
            }
        }
    })
}

fn data(text: &str) -> Result<Part, Error> {
    let json = match text.strip_prefix('@') {
        Some(path) => read(Path::new(path))?,
        None => text.as_bytes().to_vec(),
    };
    let value: Value = serde_json::from_slice(&json)
        .map_err(|error| wrong("data", format!("is not JSON: {error}")))?;
    Ok(Part::data(&value))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path)
        .map_err(|error| wrong("file", format!("{} cannot be read: {error}", path.display())))
}

/// What is wrong with the command line. The sentence names it, as clap's do.
fn wrong(what: &str, why: impl Into<String>) -> Error {
    Error::invalid_field(format!("The {what}"), why)
}

/// By the name's ending; what is not known are bytes.
fn media_type(name: &str) -> &'static str {
    let ending = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match &*ending {
        "txt" | "log" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "json" => "application/json",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}
