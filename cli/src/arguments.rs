//! What can be typed, and the help that teaches it.
use clap::{Parser, Subcommand, ValueEnum};

/// Study rooms with live chat, from recorded events.
#[derive(Debug, Parser)]
#[command(
    name = "studyhall",
    version,
    about,
    max_term_width = 100,
    arg_required_else_help = true,
    long_about = "Study rooms with live chat, from recorded events.\n\n\
        Everything people do is recorded as an event in PostgreSQL; what REST and Socket.IO show is \
        made from these events. One executable has every role; any number of them may run at once.",
    after_long_help = "Settings\n  \
        Every setting has a default in the executable, which a file (STUDYHALL_CONFIG, or \
        ./studyhall.toml) and then\n  the environment override: [server] bind is \
        STUDYHALL_SERVER__BIND. Without a default, so to be set:\n\n    \
        STUDYHALL_POSTGRES__URL         postgres://user:password@host:5432/database\n    \
        STUDYHALL_MONGODB__URL          mongodb://user:password@host:27017\n    \
        STUDYHALL_REDIS__URL            redis://:password@host:6379/0\n    \
        STUDYHALL_NATS__URL             nats://token@host:4222\n    \
        STUDYHALL_SECURITY__MASTER_KEY  openssl rand -base64 32\n    \
        STUDYHALL_SECURITY__JWT_KEYS    k1:$(openssl rand -base64 32)\n\n\
        First steps\n  \
        studyhall migrate   # makes or updates tables and indexes\n  \
        studyhall seed      # a catalogue of subjects and a small demo\n  \
        studyhall serve     # everything in one process\n  \
        studyhall status    # how far everything is\n\n\
        Exit codes\n  \
        0 fine, 1 failed or bad news, 2 wrong arguments or settings."
)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What `studyhall` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve, in all roles or in some of them, until SIGTERM or SIGINT
    #[command(
        long_about = "Serves until SIGTERM or SIGINT, then finishes what runs and exits with 0.\n\n\
            Every role may run on any number of nodes at once. `api` and `realtime` share the work; \
            of `relay`, `processes` and each partition of a read model one node is active, and \
            another one takes over when it is gone.\n\n\
            Prints `listening on http://…` and `internal listener on http://…` once it listens; \
            log lines go to standard error.",
        after_long_help = "Roles\n  \
            api         REST\n  \
            realtime    Socket.IO\n  \
            relay       gives recorded events their place in the log and publishes them\n  \
            projectors  keep the read models\n  \
            processes   e-mails; housekeeping: connections of dead nodes, expired keys and codes\n\n\
            Examples\n  \
            studyhall serve\n  \
            studyhall serve --roles api,realtime                  # a node for clients\n  \
            studyhall serve --roles relay,projectors,processes    # a node for the rest"
    )]
    Serve {
        /// Roles of this process, separated by commas
        #[arg(long, value_enum, value_delimiter = ',', default_values_t = Role::ALL)]
        roles: Vec<Role>,
    },

    /// Make or update tables, collections and indexes; safe to repeat
    #[command(
        long_about = "Makes or updates tables, collections and indexes. Safe to repeat and to run \
            on several nodes at once. Run it before `serve` whenever the executable changed.",
        after_long_help = "Example\n  studyhall migrate && studyhall serve"
    )]
    Migrate,

    /// Show how far the log, the relay and every read model are
    #[command(
        long_about = "Shows the head of the log, events that wait for their place, the end of the \
            NATS stream, how far every read model is (in events and in seconds), what is parked, \
            and which database session holds the log back, if one does.",
        after_long_help = "Examples\n  \
            studyhall status\n  \
            studyhall status --json | jq '.readModels[] | select(.lagEvents > 1000)'"
    )]
    Status {
        /// Answer as JSON
        #[arg(long)]
        json: bool,
    },

    /// Fill the catalogue of subjects and record a small demo; safe to repeat
    #[command(
        long_about = "Fills the catalogue of subjects and records a small demo: two people, two \
            rooms, some messages. All of it through the same commands that clients use. Repeating \
            it adds only what is missing. Prints one line `demo login: EMAIL PASSWORD` for each \
            person, every time.",
        after_long_help = "Example\n  studyhall seed | grep '^demo login'"
    )]
    Seed,

    /// Rebuild every read model beside the live one and compare; check the chain of hashes
    #[command(
        long_about = "Rebuilds every read model from the log into a spare version, compares it \
            with the live one and drops it again; then computes the chain of hashes over the log \
            anew. Exits with 1 if anything differs. May run while the system serves.",
        after_long_help = "Example\n  studyhall verify || echo 'look into it'"
    )]
    Verify,

    /// List what people reported to the moderators, newest first
    #[command(
        long_about = "Lists what people reported, newest first: when, what for, what and who, and the \
            reporter's words. These are personal data: keep them to the moderators.",
        after_long_help = "Example\n  studyhall reports --limit 20"
    )]
    Reports {
        /// Most reports to list
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
    },

    /// Change what the owner of an account may do
    #[command(
        long_about = "Changes what the owner of an account may do. Recorded like everything else; \
            it holds from the next request on.",
        after_long_help = "Example\n  studyhall role ana@example.org instructor"
    )]
    Role {
        /// The e-mail address of the account
        email: String,
        /// What its owner may do
        #[arg(value_enum)]
        role: RoleName,
    },

    /// Suspend, deactivate, reinstate or erase an account
    #[command(
        long_about = "Closes an account, or opens it again. Closing ends all its sessions at once. \
            A suspended account says so to who knows its password; a deactivated one looks like none. \
            To erase somebody is for good: a minute later their key is destroyed, and nothing that was \
            sealed for them can be read again, here or in a backup that has the key table of today. Within \
            that minute `reinstate` stops it.",
        after_long_help = "Example\n  studyhall account suspend ana@example.org"
    )]
    Account {
        /// What to do with it
        #[arg(value_enum)]
        action: AccountAction,
        /// The e-mail address of the account
        email: String,
    },

    /// List parked events, or try them again
    #[command(
        long_about = "An event that a read model cannot take is parked; later events of the same \
            key wait behind it, all others flow. Mend the cause, then try again.",
        after_long_help = "Examples\n  \
            studyhall parked list\n  \
            studyhall parked retry messages 0198c0de-0000-7000-8000-000000000003"
    )]
    Parked {
        /// What to do with them.
        #[command(subcommand)]
        command: ParkedCommand,
    },
}

/// What can be done with parked events.
#[derive(Debug, Subcommand)]
pub(crate) enum ParkedCommand {
    /// List parked events and those that wait behind them
    List,
    /// Try the events parked under a key again, in their order
    Retry {
        /// The read model, e.g. `messages`
        projector: String,
        /// The key, as `parked list` shows it
        key: String,
    },
}

/// What the owner of an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    /// Learn.
    Student,
    /// Give lectures.
    Instructor,
    /// Run the place.
    Admin,
}

/// What can be done with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccountAction {
    /// Close it, and say so.
    Suspend,
    /// Close it, as if there were none.
    Deactivate,
    /// Open it again.
    Reinstate,
    /// Close it now, and forget its owner in a minute: for good.
    Erase,
}

/// What a serving process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// REST.
    Api,
    /// Socket.IO.
    Realtime,
    /// Gives recorded events their place and publishes them.
    Relay,
    /// Keep the read models.
    Projectors,
    /// Housekeeping.
    Processes,
}

impl Role {
    /// All of them.
    const ALL: [Self; 5] =
        [Self::Api, Self::Realtime, Self::Relay, Self::Projectors, Self::Processes];
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn roles_are_all_unless_some_are_named() {
        let roles =
            |arguments: &[&str]| match Arguments::try_parse_from(arguments).map(|a| a.command) {
                Ok(Command::Serve { roles }) => Some(roles),
                _ => None,
            };
        assert_eq!(roles(&["studyhall", "serve"]), Some(Role::ALL.to_vec()));
        let some = roles(&["studyhall", "serve", "--roles", "api,relay"]);
        assert_eq!(some, Some(vec![Role::Api, Role::Relay]));
        assert_eq!(roles(&["studyhall", "serve", "--roles", "cook"]), None);
    }
}
