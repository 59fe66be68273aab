//! The four macros that keep aggregates free of plumbing.

/// Declares a UUID newtype with `Display`, `FromStr` and transparent serde.
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub uuid::Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse().map(Self)
            }
        }
    };
}

/// Implements [`cqrs_es::DomainEvent`] and [`crate::StoredEvent`]: the persisted name, version and
/// personal fields of each variant.
///
/// The list is exhaustive (a missing variant does not compile) and is the one place where
/// persisted names live. `seals "userId": ["email"]` says that the payload field `email` is
/// personal data of the person whose id stands in `userId`.
macro_rules! domain_event {
    ($event:ident { $(
        $variant:ident => $version:literal
            $(seals $subject:literal : [$($field:literal),+ $(,)?])*
    ),+ $(,)? }) => {
        impl cqrs_es::DomainEvent for $event {
            fn event_type(&self) -> String {
                match self { $(Self::$variant { .. } => stringify!($variant)),+ }.to_owned()
            }
            fn event_version(&self) -> String {
                match self { $(Self::$variant { .. } => $version),+ }.to_owned()
            }
        }

        impl $crate::StoredEvent for $event {
            const TYPES: &'static [(&'static str, &'static str)] =
                &[$((stringify!($variant), $version)),+];

            fn personal_fields(event_type: &str) -> &'static [$crate::PersonalFields] {
                match event_type {
                    $(stringify!($variant) => &[$(
                        $crate::PersonalFields { subject: $subject, fields: &[$($field),+] }
                    ),*],)+
                    _ => &[],
                }
            }
        }
    };
}

/// Implements [`cqrs_es::Aggregate`] from three pure pieces: a command enum, an event enum and the
/// inherent methods `decide` and `evolve`.
macro_rules! aggregate {
    ($state:ident = $name:literal, $command:ident -> $event:ident | $error:ident) => {
        impl cqrs_es::Aggregate for $state {
            const TYPE: &'static str = $name;
            type Command = $command;
            type Event = $event;
            type Error = $error;
            type Services = ();

            async fn handle(
                &mut self,
                command: Self::Command,
                (): &Self::Services,
                sink: &cqrs_es::event_sink::EventSink<Self>,
            ) -> Result<(), Self::Error> {
                // The sink applies each event to what it is given, and the store takes the
                // context's state as the one after the last event.
                for event in self.decide(command)? {
                    sink.write(event, self).await;
                }
                Ok(())
            }

            fn apply(&mut self, event: Self::Event) {
                self.evolve(&event);
            }
        }
    };
}

/// Implements [`crate::Rejection`]: kind and public code per refusal, exhaustively. A variant that
/// holds another refusal speaks for it: `; Message`.
macro_rules! rejection {
    ($error:ident {
        $($variant:ident => $kind:ident, $code:literal;)+
        $(; $($other:ident),+)?
    }) => {
        impl $crate::Rejection for $error {
            fn kind(&self) -> $crate::RejectionKind {
                match self {
                    $(Self::$variant { .. } => $crate::RejectionKind::$kind,)+
                    $($(Self::$other(refusal) => $crate::Rejection::kind(refusal),)+)?
                }
            }
            fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $code,)+
                    $($(Self::$other(refusal) => $crate::Rejection::code(refusal),)+)?
                }
            }
        }

        impl $error {
            /// Every code this refusal can carry, for the problem registry.
            pub const CODES: &'static [&'static str] = &[$($code),+];
        }
    };
}

pub(crate) use {aggregate, domain_event, id_type, rejection};
