//! Models of any size, made as they are read: see `chord_testkit::synthetic`.
//!
//! ```text
//! synthetic-gguf write MIB TYPE FILE   writes a model of at least MIB mebibytes
//! synthetic-gguf serve PORT            answers GET /MIB-TYPE.gguf, with ranges, for any size
//! ```
//! TYPE is F16, Q4_0 or Q8_0. With port 0 the system chooses one. The first line written is the server's address.

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;

use chord_gguf::GgmlType;
use chord_testkit::{SyntheticModel, SyntheticShape};

/// Bytes made at a time.
const PIECE: u64 = 1 << 20;
/// Bytes of a request that are read; real ones have a few hundred.
const MAX_REQUEST_LINE: u64 = 8 << 10;
const MAX_HEADERS: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["write", mib, ty, path] => {
            let model = model(mib, ty).ok_or("MIB must be a number and TYPE one of F16, Q4_0, Q8_0")?;
            let mut out = BufWriter::new(File::create(path)?);
            copy(&model, 0..model.len(), &mut out)?;
            out.flush()?;
            println!("{} bytes in {path}", model.len());
            Ok(())
        }
        ["serve", port] => serve(port.parse()?),
        _ => Err("usage: synthetic-gguf write MIB TYPE FILE | synthetic-gguf serve PORT".into()),
    }
}

fn model(mib: &str, ty: &str) -> Option<SyntheticModel> {
    let mib: u64 = mib.parse().ok().filter(|mib| (1..1 << 20).contains(mib))?;
    let ty = ty.parse().ok().filter(|ty| [GgmlType::F16, GgmlType::Q4_0, GgmlType::Q8_0].contains(ty))?;
    Some(SyntheticModel::new(SyntheticShape::of_at_least(mib << 20, ty)))
}

fn copy(model: &SyntheticModel, range: Range<u64>, out: &mut impl Write) -> io::Result<()> {
    let mut piece = vec![0; PIECE as usize];
    let mut at = range.start;
    while at < range.end {
        let n = PIECE.min(range.end - at) as usize;
        model.read(at, &mut piece[..n]);
        out.write_all(&piece[..n])?;
        at += n as u64;
    }
    Ok(())
}

fn serve(port: u16) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    println!("http://{}", listener.local_addr()?);
    for connection in listener.incoming() {
        let connection = connection?;
        // A browser that closes the connection is not an error.
        std::thread::spawn(move || drop(answer(connection)));
    }
    Ok(())
}

/// What a request is for.
struct Request {
    method: String,
    path: String,
    headers: HashMap<String, String>,
}

/// The next request of a connection; none at its end.
fn read_request(connection: &mut impl BufRead) -> io::Result<Option<Request>> {
    let line = |connection: &mut dyn BufRead| -> io::Result<String> {
        let mut line = String::new();
        io::Read::take(connection, MAX_REQUEST_LINE).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    };
    let first = line(connection)?;
    let mut words = first.split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut headers = HashMap::new();
    for _ in 0..MAX_HEADERS {
        let header = line(connection)?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(Some(Request { method: method.to_owned(), path: path.to_owned(), headers }))
}

/// Answers the requests of one connection, one after the other.
fn answer(connection: TcpStream) -> io::Result<()> {
    let mut requests = BufReader::new(connection.try_clone()?);
    let mut out = connection;
    while let Some(Request { method, path, headers }) = read_request(&mut requests)? {
        let name = path.trim_start_matches('/').split_once('?').map_or(path.trim_start_matches('/'), |(name, _)| name);
        let found = name.strip_suffix(".gguf").and_then(|name| name.split_once('-')).and_then(|(m, t)| model(m, t));
        // Pages of other origins read these files, including isolated ones.
        const EVERYONE: &str = "Access-Control-Allow-Origin: *\r\nCross-Origin-Resource-Policy: cross-origin\r\n\
            Access-Control-Expose-Headers: Content-Range, ETag\r\n";
        let Some(model) = found else {
            write!(out, "HTTP/1.1 404 Not Found\r\n{EVERYONE}Content-Length: 0\r\n\r\n")?;
            continue;
        };
        let len = model.len();
        let wanted = headers.get("range").map(|range| parse_range(range, len));
        let (status, range) = match wanted {
            None => ("200 OK".to_owned(), 0..len),
            Some(Some(range)) => {
                let content = format!("Content-Range: bytes {}-{}/{len}", range.start, range.end - 1);
                (format!("206 Partial Content\r\n{content}"), range)
            }
            Some(None) => (format!("416 Range Not Satisfiable\r\nContent-Range: bytes */{len}"), 0..0),
        };
        let n = range.end - range.start;
        write!(
            out,
            "HTTP/1.1 {status}\r\n{EVERYONE}Accept-Ranges: bytes\r\nETag: \"{name}\"\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {n}\r\n\r\n"
        )?;
        if method != "HEAD" {
            copy(&model, range, &mut out)?;
        }
    }
    Ok(())
}

/// The bytes that `bytes=A-B` or `bytes=A-` means in a file of `len`; none if there are none.
fn parse_range(text: &str, len: u64) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let end = if last.is_empty() { len } else { last.parse::<u64>().ok()?.checked_add(1)?.min(len) };
    (first < end).then_some(first..end)
}
