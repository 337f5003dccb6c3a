//! An agent that answers by a list: what a request's first line begins with, and the body it gets.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

/// Serves until the process ends, and answers its address. Its card is added to the list: it speaks
/// HTTP+JSON.
pub(crate) fn serve(answers: &'static [(&'static str, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let card = format!(
        r#"{{"name":"canned","version":"1","description":"By a list.","supportedInterfaces":[
            {{"url":"{url}","protocolBinding":"HTTP+JSON","protocolVersion":"1.0"}}]}}"#
    );
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), &card, answers);
        }
    });
    url
}

fn answer(mut stream: TcpStream, card: &str, answers: &[(&str, &str)]) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() <= 2 {
            break;
        }
        let line = line.trim_end().to_owned();
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        head.push(line);
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    let is_card = head[0].starts_with("GET /.well-known/");
    let listed = answers.iter().find(|(request, _)| head[0].starts_with(request));
    let body = if is_card { card } else { listed.unwrap_or_else(|| panic!("{head:?}")).1 };
    let length = body.len();
    let status = if body.starts_with(r#"{"error""#) { "400 Bad Request" } else { "200 OK" };
    let response = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/a2a+json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    stream.write_all(response.as_bytes()).unwrap();
}
