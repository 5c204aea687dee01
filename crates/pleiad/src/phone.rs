//! `pleiad phone`: a scriptable soft phone, for trying things out and for scripts. The phone itself is testkit's.

use crate::locate::{self, Spoken};
use crate::secret;
use anyhow::{Context, Result};
use clap::Args;
use ipbx::shell::resolve::SPOKEN;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use testkit::phone::{self as soft, Report, Script};

/// A scriptable soft phone: it registers, and calls or answers.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pleiad phone --registrar 127.0.0.1:5160 --extension 2101 --call 2201 --talk 3
  pleiad phone --registrar 127.0.0.1:5260 --extension 2201 --answer --talk 10
  pleiad phone --registrar example.org --extension 2101 --answer
  pleiad phone --registrar 127.0.0.1:5160 --extension 2101 --watch 2201 --watch 2102 --talk 600
  pleiad phone --registrar 127.0.0.1:5161 --extension 2101 --transport tls --authority phones.pem --call 2201
A registrar by name alone is located (`pleiad locate NAME` shows how), and the next server is tried when one does not answer.
`pleiad ctl authority MACHINE --output phones.pem` writes what a phone on TLS is to trust.
The password is taken from --password-file, or from PLEIAD_PHONE_PASSWORD, or asked for.")]
pub(crate) struct Options {
    /// The call server it registers at: a name alone is located by NAPTR, SRV and addresses
    #[arg(long, value_name = "HOST[:PORT]")]
    registrar: String,
    /// Ask this name server and nobody else
    #[arg(long, value_name = "ADDRESS:PORT")]
    dns: Option<SocketAddr>,
    /// Its number
    #[arg(long)]
    extension: String,
    /// The file that holds its password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The SIP domain; without it, the registrar's host
    #[arg(long)]
    domain: Option<String>,
    /// How it reaches its registrar; without it, as located, and UDP where nothing says how
    #[arg(long)]
    transport: Option<Spoken>,
    /// Over TLS: the certificate it trusts (PEM); without it, it trusts whoever answers
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// Print what the line of this number does, as it changes; may be given more than once
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["call", "answer"])]
    watch: Vec<String>,
    /// Call this number
    #[arg(long, value_name = "NUMBER", conflicts_with = "answer")]
    call: Option<String>,
    /// Wait for one call and answer it
    #[arg(long)]
    answer: bool,
    /// Seconds it rings before it answers
    #[arg(long, default_value_t = 1, value_name = "SECONDS")]
    ring: u64,
    /// Seconds it talks, watches, or stays registered
    #[arg(long, default_value_t = 3, value_name = "SECONDS")]
    talk: u64,
    /// Seconds it waits for an answer or a call
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    patience: u64,
    /// The tone it sends, in hertz; without it, a random one
    #[arg(long, value_name = "HERTZ")]
    tone: Option<u16>,
    /// Keys it presses when the call is up
    #[arg(long, default_value = "")]
    digits: String,
    /// Holds the call for a while and takes it back
    #[arg(long)]
    hold: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// A phone line as somebody hands it out.
pub(crate) struct Line {
    pub(crate) extension: String,
    pub(crate) password: String,
    pub(crate) registrar: String,
}

/// Plays the script; succeeds when everything it says happened.
pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let json = options.json;
    let targets = targets(&options).await?;
    let report = soft::run(&soft::Options { targets, ..script(options)? }).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}\n\n{}", soft::draw(&[(&report.extension, &report.ladder)]), summary(&report));
    }
    Ok(ExitCode::SUCCESS)
}

/// Where its registrar is, in the order to be tried.
async fn targets(options: &Options) -> Result<Vec<soft::Target>> {
    let way = match options.transport {
        None => "",
        Some(Spoken::Udp) => ";transport=udp",
        Some(Spoken::Tcp) => ";transport=tcp",
        Some(Spoken::Tls) => ";transport=tls",
    };
    let location = locate::locate(&format!("{}{way}", options.registrar), options.dns, &SPOKEN).await?;
    Ok(location.choices.iter().map(|choice| choice.target).collect())
}

fn script(options: Options) -> Result<soft::Options> {
    let script = match (options.call, options.answer) {
        (Some(number), _) => Script::Call { number },
        (None, true) => Script::Answer { ring: Duration::from_secs(options.ring) },
        (None, false) if !options.watch.is_empty() => Script::Watch,
        (None, false) => Script::Register,
    };
    let password = password(&options.extension, options.password_file)?;
    let usual = soft::Options::new(&options.registrar, &options.extension, &password);
    Ok(soft::Options {
        domain: options.domain,
        authority: options.authority,
        watches: options.watch,
        lamps: |number, shows| println!("{number} {}", shows.word()),
        tone_hz: options.tone,
        digits: options.digits,
        hold: options.hold,
        talk: Duration::from_secs(options.talk),
        patience: Duration::from_secs(options.patience),
        script,
        ..usual
    })
}

fn password(extension: &str, file: Option<PathBuf>) -> Result<String> {
    if let Some(file) = file {
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        return Ok(text.trim().to_owned());
    }
    match std::env::var("PLEIAD_PHONE_PASSWORD") {
        Ok(password) => Ok(password),
        Err(_) => secret::ask(&format!("password of {extension}")),
    }
}

/// One phone calls the other; succeeds only if each heard the other's own tone.
pub(crate) async fn converse(caller: Line, called: Line, talk: Duration, json: bool) -> Result<ExitCode> {
    let line = |line: &Line| soft::Options {
        talk,
        ..soft::Options::new(&line.registrar, &line.extension, &line.password)
    };
    let talked = soft::converse(&line(&caller), &line(&called)).await?;
    let heard = talked.heard_each_other();
    if json {
        println!("{}", serde_json::to_string_pretty(&talked)?);
    } else {
        println!("{}\n", talked.ladder());
        println!("{}\n{}", summary(&talked.caller), summary(&talked.called));
        println!("{}", if heard { "each heard the other" } else { "they did NOT hear each other" });
    }
    Ok(if heard { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What became of a phone, in a line.
fn summary(report: &Report) -> String {
    let heard: Vec<String> =
        report.heard.iter().map(|tone| format!("{} Hz for {:.1} s", tone.hz, tone.seconds)).collect();
    let heard = if heard.is_empty() { "nothing".to_owned() } else { heard.join(", ") };
    let end = report
        .end
        .as_ref()
        .map_or_else(|| "no call".to_owned(), |end| format!("{} {}", end.status, end.text));
    let server = report.server.as_deref().unwrap_or("nowhere");
    format!(
        "{} at {server}: sent {} Hz, heard {heard}; {} packets out, {} in, longest gap {} ms; end: {end}",
        report.extension, report.tone_hz, report.packets_sent, report.packets_received, report.longest_gap_ms
    )
}
