//! `[[sink]]` tables: receivers of events. The same keys serve `--output`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::text::{duration, size};

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Elastic Common Schema, JSON: everything that is known.
    #[default]
    Ecs,
    /// Suricata's EVE, JSON.
    Eve,
    /// ArcSight's Common Event Format.
    Cef,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 3] = [Format::Ecs, Format::Eve, Format::Cef];

    /// The word in files and options.
    pub const fn word(self) -> &'static str {
        match self {
            Format::Ecs => "ecs",
            Format::Eve => "eve",
            Format::Cef => "cef",
        }
    }
}

/// What takes the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkKind {
    /// Standard output.
    Stdout,
    /// A file that is rotated.
    File,
    /// RFC 5424 over UDP, TCP or TLS.
    Syslog,
    /// NATS JetStream.
    Nats,
    /// Kafka.
    Kafka,
    /// MQTT 5.
    Mqtt,
    /// Splunk's HTTP event collector.
    Splunk,
    /// Elasticsearch's `_bulk`.
    Elasticsearch,
    /// OpenTelemetry logs.
    Otlp,
}

impl SinkKind {
    /// The word in files and options.
    pub const fn word(self) -> &'static str {
        match self {
            SinkKind::Stdout => "stdout",
            SinkKind::File => "file",
            SinkKind::Syslog => "syslog",
            SinkKind::Nats => "nats",
            SinkKind::Kafka => "kafka",
            SinkKind::Mqtt => "mqtt",
            SinkKind::Splunk => "splunk",
            SinkKind::Elasticsearch => "elasticsearch",
            SinkKind::Otlp => "otlp",
        }
    }

    /// Key of what `--output TYPE:TARGET` names.
    const fn target(self) -> &'static str {
        match self {
            SinkKind::Stdout | SinkKind::File => "path",
            SinkKind::Syslog | SinkKind::Nats | SinkKind::Kafka | SinkKind::Mqtt => "address",
            SinkKind::Splunk | SinkKind::Elasticsearch | SinkKind::Otlp => "url",
        }
    }
}

/// How syslog travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// Datagrams: what is lost is lost.
    Udp,
    /// Octet counting (RFC 6587).
    Tcp,
    /// The same in TLS (RFC 5425).
    #[default]
    Tls,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the receiver alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// One `[[sink]]` table. What a key means for which type is told by [`SinkEntry::check`] and the README.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkEntry {
    /// Name in metrics, logs and events; the type, with a number where there are several, by default.
    #[serde(default)]
    pub name: String,
    /// What takes the events.
    #[serde(rename = "type")]
    pub kind: SinkKind,
    /// How an event is written.
    #[serde(default)]
    pub format: Format,

    /// Only these kinds (`event.action`); all when empty.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Not these kinds.
    #[serde(default)]
    pub except: Vec<String>,
    /// Only events of this severity or more; events without one have 1.
    #[serde(default)]
    pub min_severity: u8,
    /// Only events about these zones, and those that are about none; all when empty.
    #[serde(default)]
    pub zones: Vec<String>,

    /// File.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// Begin a new file at this size.
    #[serde(default, deserialize_with = "some_size")]
    pub rotate_size: Option<u64>,
    /// Begin a new file after this time.
    #[serde(default, deserialize_with = "some_duration")]
    pub rotate_every: Option<Duration>,
    /// Old files that are kept.
    #[serde(default)]
    pub keep: Option<u32>,
    /// Compress old files (gzip).
    #[serde(default)]
    pub compress: Option<bool>,

    /// Receiver: `host:port`, or several with commas between.
    #[serde(default)]
    pub address: Option<String>,
    /// Receiver of HTTP.
    #[serde(default)]
    pub url: Option<String>,
    /// How syslog travels; with or without TLS elsewhere.
    #[serde(default)]
    pub transport: Option<Carrier>,
    /// Certificates that the receiver's is verified by, PEM; those of the host by default.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Certificate of the sensor, PEM.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// Its key, PEM.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Name in the receiver's certificate, where it is not the host of the address.
    #[serde(default)]
    pub server_name: Option<String>,

    /// Subject of NATS.
    #[serde(default)]
    pub subject: Option<String>,
    /// Stream of NATS JetStream.
    #[serde(default)]
    pub stream: Option<String>,
    /// Topic of Kafka and MQTT.
    #[serde(default)]
    pub topic: Option<String>,
    /// Index of Splunk, index or data stream of Elasticsearch.
    #[serde(default)]
    pub index: Option<String>,
    /// User.
    #[serde(default)]
    pub username: Option<String>,
    /// File with the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Environment variable with the password.
    #[serde(default)]
    pub password_env: Option<String>,
    /// File with the token.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Environment variable with the token.
    #[serde(default)]
    pub token_env: Option<String>,

    /// Octets on disk for events that wait; `"0"` is no spool.
    #[serde(default, deserialize_with = "some_size")]
    pub spool: Option<u64>,
    /// Directory of the spool; below the one of `[events]` by default.
    #[serde(default)]
    pub spool_dir: Option<PathBuf>,
    /// Events in memory.
    #[serde(default)]
    pub queue: Option<usize>,

    /// Line in the file, 0 for the command line.
    #[serde(skip)]
    pub line: usize,
}

/// Where spools are, unless the configuration says otherwise.
pub const SPOOL_DIR: &str = "/var/lib/ot-xdp/spool";
/// Size of a spool, unless the configuration says otherwise.
pub const SPOOL: u64 = 256 << 20;

impl SinkEntry {
    /// From `TYPE`, `TYPE:TARGET`, or either with `,key=value` behind, as the command line has it.
    ///
    /// # Errors
    /// A sentence that says what is accepted.
    pub fn from_option(text: &str) -> Result<SinkEntry, String> {
        let (head, keys) = match text.find(',') {
            // A list of addresses has commas, too: keys begin where a `=` comes before the next comma.
            Some(_) => split_keys(text),
            None => (text, Vec::new()),
        };
        let (kind, target) = head.split_once(':').map_or((head, None), |(kind, target)| (kind, Some(target)));
        let mut table = toml::Table::new();
        table.insert("type".to_owned(), kind.into());
        if let Some(target) = target {
            let known: Result<SinkKind, _> = SinkKind::deserialize(toml::Value::from(kind));
            let key = known.map_or("address", SinkKind::target);
            table.insert(key.to_owned(), target.into());
        }
        for (key, value) in keys {
            let value = match (key, value) {
                ("kinds" | "except" | "zones", list) => toml::Value::Array(list.split('+').map(Into::into).collect()),
                ("min_severity" | "keep" | "queue", number) => match number.parse::<i64>() {
                    Ok(n) => n.into(),
                    Err(_) => return Err(format!("`{key}={value}`: write a whole number")),
                },
                ("compress", flag) => (flag == "true").into(),
                (_, text) => text.into(),
            };
            table.insert(key.to_owned(), value);
        }
        let entry = SinkEntry::deserialize(toml::Value::Table(table)).map_err(|e| {
            format!(
                "`{text}`: {}; write e.g. stdout, file:events.ndjson or syslog:siem.example:6514,format=cef",
                e.message()
            )
        })?;
        entry.check().map_err(|reason| format!("`{text}`: {reason}"))?;
        Ok(entry)
    }

    /// Does every key mean something for this type, and is what the type needs there?
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn check(&self) -> Result<(), String> {
        use SinkKind::{Elasticsearch, File, Kafka, Mqtt, Nats, Otlp, Splunk, Stdout, Syslog};
        let kind = self.kind;
        let word = kind.word();
        let network = !matches!(kind, Stdout | File);
        let plain = matches!(kind, Syslog | Nats | Kafka | Mqtt);
        let keys = [
            ("path", self.path.is_some(), kind == File, kind == File),
            ("rotate_size", self.rotate_size.is_some(), kind == File, false),
            ("rotate_every", self.rotate_every.is_some(), kind == File, false),
            ("keep", self.keep.is_some(), kind == File, false),
            ("compress", self.compress.is_some(), kind == File, false),
            ("address", self.address.is_some(), plain, plain),
            ("url", self.url.is_some(), network && !plain, network && !plain),
            ("transport", self.transport.is_some(), plain, false),
            ("ca_file", self.ca_file.is_some(), network, false),
            ("cert_file", self.cert_file.is_some(), network, false),
            ("key_file", self.key_file.is_some(), network, false),
            ("server_name", self.server_name.is_some(), network, false),
            ("subject", self.subject.is_some(), kind == Nats, false),
            ("stream", self.stream.is_some(), kind == Nats, false),
            ("topic", self.topic.is_some(), matches!(kind, Kafka | Mqtt), false),
            ("index", self.index.is_some(), matches!(kind, Splunk | Elasticsearch), false),
            ("username", self.username.is_some(), network && kind != Syslog, false),
            ("password_file", self.password_file.is_some(), network && kind != Syslog, false),
            ("password_env", self.password_env.is_some(), network && kind != Syslog, false),
            (
                "token_file",
                self.token_file.is_some(),
                network && kind != Syslog,
                kind == Splunk && self.token_env.is_none(),
            ),
            ("token_env", self.token_env.is_some(), network && kind != Syslog, false),
            ("spool", self.spool.is_some(), kind != Stdout, false),
            ("spool_dir", self.spool_dir.is_some(), kind != Stdout, false),
        ];
        for (key, is, may, must) in keys {
            if is && !may {
                return Err(format!("`{key}` means nothing for a sink of type {word}; take it out"));
            }
            if must && !is {
                return Err(format!("a sink of type {word} needs `{key}`"));
            }
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            return Err("`cert_file` and `key_file` belong together; give both".to_owned());
        }
        if self.password_file.is_some() && self.password_env.is_some()
            || self.token_file.is_some() && self.token_env.is_some()
        {
            return Err("a secret comes from a file or from the environment; give one of the two".to_owned());
        }
        if let (Syslog, Some(address)) = (kind, &self.address) {
            check_address(address)?;
        }
        if let (Otlp | Splunk | Elasticsearch, Some(url)) = (kind, &self.url)
            && !url.starts_with("http://")
            && !url.starts_with("https://")
        {
            return Err(format!("`{url}` is no URL; write https://host:port"));
        }
        if self.min_severity > 100 {
            return Err("`min_severity` is 1 to 100; the steps are 21, 47, 73 and 99".to_owned());
        }
        if self.queue.is_some_and(|q| !(16..=1_000_000).contains(&q)) {
            return Err("`queue` is 16 to 1000000 events".to_owned());
        }
        if self.spool.is_some_and(|s| s != 0 && s < 1 << 20) {
            return Err("`spool` is at least 1MiB, or 0 for none".to_owned());
        }
        if self.rotate_size.is_some_and(|s| s < 4 << 10) {
            return Err("`rotate_size` is at least 4KiB".to_owned());
        }
        let plain_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !self.name.chars().all(plain_name) || self.name.starts_with('.') {
            return Err(format!("`{}` is no name of a sink; use letters, digits, `-`, `_` and `.`", self.name));
        }
        Ok(())
    }

    /// The password, where one is configured.
    ///
    /// # Errors
    /// When it cannot be read; the text does not hold it.
    pub fn password(&self) -> Result<Option<Secret>, String> {
        secret("password", self.password_file.as_deref(), self.password_env.as_deref())
    }

    /// The token, where one is configured.
    ///
    /// # Errors
    /// When it cannot be read; the text does not hold it.
    pub fn token(&self) -> Result<Option<Secret>, String> {
        secret("token", self.token_file.as_deref(), self.token_env.as_deref())
    }

    /// Directory and size of the spool: by default for everything that is sent over a network. `dir` is that of `[events]`.
    pub fn spool(&self, dir: &Path) -> Option<(PathBuf, u64)> {
        let usual = if matches!(self.kind, SinkKind::Stdout | SinkKind::File) { 0 } else { SPOOL };
        let cap = self.spool.unwrap_or(if self.spool_dir.is_some() { SPOOL } else { usual });
        (cap != 0).then(|| (self.spool_dir.clone().unwrap_or_else(|| dir.join(&self.name)), cap))
    }

    /// For people: where the events go.
    pub fn target(&self) -> String {
        let path = self.path.as_ref().map(|p| p.display().to_string());
        let target = path.or_else(|| self.address.clone()).or_else(|| self.url.clone());
        target.map_or_else(|| self.kind.word().to_owned(), |t| format!("{} {t}", self.kind.word()))
    }
}

/// Gives nameless sinks their names; each name once.
///
/// # Errors
/// Index of the entry and what is wrong.
pub fn name_all(sinks: &mut [SinkEntry]) -> Result<(), (usize, String)> {
    let mut taken: Vec<String> = Vec::new();
    for (i, sink) in sinks.iter_mut().enumerate() {
        sink.check().map_err(|reason| (i, reason))?;
        if sink.name.is_empty() {
            let word = sink.kind.word();
            let mut names = std::iter::once(word.to_owned()).chain((2..).map(|n| format!("{word}-{n}")));
            sink.name = names.find(|n| !taken.contains(n)).unwrap_or_default();
        }
        if taken.contains(&sink.name) {
            return Err((i, format!("two sinks are named `{}`; each needs a name of its own", sink.name)));
        }
        taken.push(sink.name.clone());
    }
    Ok(())
}

fn split_keys(text: &str) -> (&str, Vec<(&str, &str)>) {
    let mut keys = Vec::new();
    let mut head = text;
    while let Some((before, last)) = head.rsplit_once(',') {
        let Some((key, value)) =
            last.split_once('=').filter(|(k, _)| k.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        else {
            break;
        };
        keys.push((key, value));
        head = before;
    }
    (head, keys)
}

fn check_address(address: &str) -> Result<(), String> {
    let port =
        address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse::<u16>().ok());
    port.filter(|p| *p != 0)
        .map(|_| ())
        .ok_or_else(|| format!("`{address}` is no address; write host:port, for IPv6 [address]:port"))
}

fn secret(what: &str, file: Option<&Path>, env: Option<&str>) -> Result<Option<Secret>, String> {
    let text = match (file, env) {
        (Some(file), _) => {
            std::fs::read_to_string(file).map_err(|e| format!("cannot read the {what} in {}: {e}", file.display()))?
        }
        (None, Some(name)) => std::env::var(name)
            .map_err(|_| format!("the environment variable {name} with the {what} is not set, or no text"))?,
        (None, None) => return Ok(None),
    };
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() || text.contains(['\n', '\r', '\0']) {
        return Err(format!("the {what} has to be one line that is not empty"));
    }
    Ok(Some(Secret(text.to_owned())))
}

fn some_size<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    size(&String::deserialize(d)?).map(Some).map_err(D::Error::custom)
}

fn some_duration<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
    duration(&String::deserialize(d)?).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_mean_the_same_as_tables() {
        let file =
            SinkEntry::from_option("file:/var/log/events.ndjson,format=eve,min_severity=47,kinds=dropped+would-drop")
                .unwrap();
        assert_eq!((file.kind, file.format, file.min_severity), (SinkKind::File, Format::Eve, 47));
        assert_eq!(file.kinds, ["dropped", "would-drop"]);
        let table: SinkEntry = toml::from_str(
            "type = 'file'\npath = '/var/log/events.ndjson'\nformat = 'eve'\nmin_severity = 47\nkinds = ['dropped', 'would-drop']",
        )
        .unwrap();
        assert_eq!(file, table);
        assert_eq!(SinkEntry::from_option("stdout").unwrap().kind, SinkKind::Stdout);
        let kafka = SinkEntry::from_option("kafka:a:9092,b:9092,topic=ot").unwrap();
        assert_eq!((kafka.address.as_deref(), kafka.topic.as_deref()), (Some("a:9092,b:9092"), Some("ot")));
        let syslog = SinkEntry::from_option("syslog:[::1]:514,transport=udp").unwrap();
        assert_eq!((syslog.address.as_deref(), syslog.transport), (Some("[::1]:514"), Some(Carrier::Udp)));
        let hec = SinkEntry::from_option("splunk:https://hec.example:8088,token_env=HEC").unwrap();
        assert_eq!(hec.url.as_deref(), Some("https://hec.example:8088"));
    }

    #[test]
    fn wrong_ones_say_what_to_do() {
        for (text, words) in [
            ("fle:x", "stdout, file:events.ndjson"),
            ("file", "needs `path`"),
            ("stdout,path=x", "means nothing"),
            ("syslog:host", "write host:port"),
            ("syslog:host:6514,cert_file=a", "belong together"),
            ("splunk:https://a", "needs `token_file`"),
            ("splunk:a:8088,token_env=T", "no URL"),
            ("file:x,format=xml", "xml"),
            ("file:x,spool=12", "unit"),
            ("file:x,colour=red", "colour"),
            ("file:x,min_severity=high", "whole number"),
            ("file:x,name=../../etc", "no name of a sink"),
        ] {
            let error = SinkEntry::from_option(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn secrets_are_read_and_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "s3cret\n").unwrap();
        let text = format!("splunk:https://a,token_file={}", file.display());
        let entry = SinkEntry::from_option(&text).unwrap();
        let token = entry.token().unwrap().unwrap();
        assert_eq!(token.reveal(), "s3cret");
        assert!(!format!("{entry:?} {token:?}").contains("s3cret"));
        std::fs::write(&file, "s3cret\nmore").unwrap();
        let error = entry.token().unwrap_err();
        assert!(error.contains("one line") && !error.contains("s3cret"), "{error}");
        let entry = SinkEntry::from_option("splunk:https://a,token_env=OT_XDP_NO_SUCH_TOKEN").unwrap();
        assert!(entry.token().unwrap_err().contains("OT_XDP_NO_SUCH_TOKEN"));
    }

    #[test]
    fn each_has_a_name_of_its_own() {
        let mut sinks: Vec<SinkEntry> =
            ["file:a", "file:b", "stdout"].iter().map(|t| SinkEntry::from_option(t).unwrap()).collect();
        name_all(&mut sinks).unwrap();
        assert_eq!(sinks.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["file", "file-2", "stdout"]);
        sinks[0].name = "stdout".to_owned();
        assert!(name_all(&mut sinks).unwrap_err().1.contains("name of its own"));
    }
}
