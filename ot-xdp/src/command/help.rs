//! `ot-xdp completions` and `ot-xdp man`, both made from the command line's definition.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;

/// What the command line's definition does not know, as sections of the manual page.
const MORE: &str = r#".SH EXIT STATUS
.TP
.B 0
Done; for \fBdoctor\fR, no problem was found.
.TP
.B 1
Something failed while running, a capture file was damaged, or \fBdoctor\fR found a problem.
.TP
.B 2
The command line or the configuration is wrong.
.SH SIGNALS
.B SIGTERM
and
.B SIGINT
end \fBot\-xdp run\fR: it detaches from all interfaces, writes what it has counted and exits with 0. When it is killed,
the kernel detaches the program by itself; frames pass all the while.
.SH ENVIRONMENT
.TP
.B OT_XDP_LOG
A filter for the log on standard error, for example \fBot_xdp=debug\fR; \fB\-v\fR is ignored then.
.TP
.B NO_COLOR
When not empty, no colour is used unless \fB\-\-color always\fR is given.
.SH PRIVILEGES
Loading the kernel program takes CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, or root. All other subcommands and
\fBot\-xdp replay \-\-engine user\fR take none.
.SH EXAMPLES
.TP
.B ot\-xdp doctor \-\-interface eth1
Tell whether this host and this interface are fit for the sensor.
.TP
.B ot\-xdp run \-\-interface eth1 \-\-interface eth2
Listen on two ports of a bridge; events go to standard output.
.TP
.B ot\-xdp replay capture.pcapng.zst
The events of a capture.
.TP
.B ot\-xdp config > site.toml; ot\-xdp check \-\-config site.toml
Write a configuration with every default, and have it checked after changing it.
"#;

/// Prints the completion script of a shell.
///
/// # Errors
/// When nobody takes the output.
pub fn completions(shell: Shell) -> Result<ExitCode> {
    print(&completion_script(shell))
}

/// Prints the manual page, all subcommands included: `ot-xdp man | man -l -`.
///
/// # Errors
/// When nobody takes the output.
pub fn man() -> Result<ExitCode> {
    print(&manual()?)
}

fn print(octets: &[u8]) -> Result<ExitCode> {
    std::io::stdout().lock().write_all(octets)?;
    Ok(ExitCode::SUCCESS)
}

fn completion_script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ot-xdp", &mut script);
    script
}

fn manual() -> std::io::Result<Vec<u8>> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let main = Man::new(cli.clone()).manual("ot-xdp manual");
    let mut page = Vec::new();
    main.render_title(&mut page)?;
    main.render_name_section(&mut page)?;
    main.render_synopsis_section(&mut page)?;
    main.render_description_section(&mut page)?;
    main.render_options_section(&mut page)?;
    for command in cli.get_subcommands() {
        let name = format!("ot-xdp {}", command.get_name());
        // Options that every subcommand takes are described once, above.
        let command = command.clone().bin_name(&name).display_name(&name).mut_args(|a| {
            let everywhere = a.is_global_set() || matches!(a.get_id().as_str(), "help" | "version");
            a.hide(everywhere)
        });
        let own_options = command.get_arguments().any(|a| !a.is_hide_set());
        let sub = Man::new(command);
        page.extend(format!(".SH \"{}\"\n", name.to_uppercase().replace('-', "\\-")).bytes());
        let mut sections = Vec::new();
        sub.render_description_section(&mut sections)?;
        sub.render_synopsis_section(&mut sections)?;
        if own_options {
            sub.render_options_section(&mut sections)?;
        }
        page.extend(below(&String::from_utf8_lossy(&sections)).bytes());
    }
    page.extend(MORE.bytes());
    Ok(page)
}

/// The sections of a subcommand, one level lower; its description needs no heading.
fn below(sections: &str) -> String {
    sections.replace(".SH DESCRIPTION\n", "").replace(".SH ", ".SS ")
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_has_completions() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(completion_script(*shell)).unwrap();
            for word in ["replay", "doctor", "attach-mode"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn the_manual_has_every_subcommand_and_option() {
        let page = String::from_utf8(manual().unwrap()).unwrap();
        assert!(page.contains(".TH ot-xdp 1"), "{page}");
        for command in Cli::command().get_subcommands() {
            let heading = format!(".SH \"OT\\-XDP {}\"", command.get_name().to_uppercase());
            assert!(page.contains(&heading), "{heading}");
            for long in command.get_arguments().filter_map(|a| a.get_long()) {
                assert!(page.contains(&format!("\\-\\-{}", long.replace('-', "\\-"))), "{long}");
            }
        }
        assert!(page.contains(".SH EXIT STATUS"));
    }
}
