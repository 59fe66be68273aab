//! What is seeded.

/// The password of the demo people. Public: never seed where strangers can log in.
pub(super) const PASSWORD: &str = "study-together-2026";

/// Someone of the demo.
pub(super) struct DemoPerson {
    pub(super) email: &'static str,
    pub(super) full_name: &'static str,
    pub(super) username: &'static str,
}

/// The people of the demo; the first one owns the rooms.
pub(super) const PEOPLE: &[DemoPerson] = &[
    DemoPerson { email: "ana@studyhall.example", full_name: "Ana Example", username: "ana_demo" },
    DemoPerson { email: "ben@studyhall.example", full_name: "Ben Example", username: "ben_demo" },
];

/// A room of the demo.
pub(super) struct DemoRoom {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) subject: &'static str,
    pub(super) places: u32,
    /// Who says what: index of the person, text.
    pub(super) messages: &'static [(usize, &'static str)],
}

/// The rooms of the demo.
pub(super) const ROOMS: &[DemoRoom] = &[
    DemoRoom {
        name: "Linear algebra evenings",
        description: "Tuesdays and Thursdays at eight. Bring the exercise sheet.",
        subject: "Linear algebra",
        places: 20,
        messages: &[
            (0, "Welcome! We start with eigenvalues today."),
            (1, "Perfect, I got stuck on exercise 3."),
            (0, "Try the characteristic polynomial first, then look at the multiplicities."),
            (1, "That was the missing step, thank you."),
        ],
    },
    DemoRoom {
        name: "Rust for beginners",
        description: "We read the book together, one chapter a week.",
        subject: "Programming",
        places: 50,
        messages: &[
            (0, "This week: ownership."),
            (1, "So a value has exactly one owner, and it is dropped with it?"),
            (0, "Yes. And borrowing is how others may look at it meanwhile."),
        ],
    },
];

/// Category, name, description.
pub(super) const SUBJECTS: &[(&str, &str, &str)] = &[
    ("Mathematics", "Linear algebra", "Vectors, matrices and what they do to each other."),
    ("Mathematics", "Calculus", "Limits, derivatives and integrals."),
    ("Mathematics", "Statistics", "What data say, and how sure one may be."),
    ("Mathematics", "Discrete mathematics", "Sets, graphs, counting and proofs."),
    ("Natural sciences", "Physics", "From mechanics to quanta."),
    ("Natural sciences", "Chemistry", "Elements, bonds and reactions."),
    ("Natural sciences", "Biology", "Cells, organisms and their history."),
    ("Natural sciences", "Geography", "The earth and how people live on it."),
    ("Computing", "Programming", "Telling computers what to do."),
    ("Computing", "Algorithms", "Doing it in fewer steps."),
    ("Computing", "Databases", "Keeping data and finding them again."),
    ("Computing", "Operating systems", "What runs below every program."),
    ("Languages", "English", "Reading, writing and speaking."),
    ("Languages", "Spanish", "Reading, writing and speaking."),
    ("Languages", "German", "Reading, writing and speaking."),
    ("Languages", "French", "Reading, writing and speaking."),
    ("Humanities", "History", "What happened, and how we know."),
    ("Humanities", "Philosophy", "Questions that do not go away."),
    ("Humanities", "Literature", "Texts and their readers."),
    ("Social sciences", "Economics", "How people share what is scarce."),
    ("Social sciences", "Psychology", "Why people do what they do."),
    ("Social sciences", "Law", "The rules that hold for everybody."),
    ("Arts", "Music theory", "Why it sounds right."),
    ("Arts", "Art history", "What people made, and when."),
];
