//! The catalogue of subjects.

/// Category, name, one sentence.
pub(super) const SUBJECTS: &[(&str, &str, &str)] = &[
    ("Mathematics", "Calculus", "Limits, derivatives, integrals and series."),
    ("Mathematics", "Linear Algebra", "Vectors, matrices, eigenvalues and linear maps."),
    ("Mathematics", "Statistics", "Probability, estimation and tests."),
    ("Mathematics", "Discrete Mathematics", "Logic, graphs, counting and proofs."),
    ("Natural Sciences", "Physics", "Mechanics, electricity, waves and heat."),
    ("Natural Sciences", "Chemistry", "Matter, reactions and the periodic table."),
    ("Natural Sciences", "Organic Chemistry", "Carbon compounds and how they react."),
    ("Natural Sciences", "Biology", "Cells, genes, organisms and ecosystems."),
    ("Computer Science", "Programming", "Writing programs that others can read."),
    ("Computer Science", "Algorithms", "Data structures, complexity and correctness."),
    ("Computer Science", "Databases", "Models, queries, transactions and storage."),
    ("Computer Science", "Machine Learning", "Learning from data, and knowing when not to."),
    ("Languages", "English", "Reading, writing and speaking English."),
    ("Languages", "Spanish", "Reading, writing and speaking Spanish."),
    ("Languages", "German", "Reading, writing and speaking German."),
    ("Languages", "Mandarin Chinese", "Reading, writing and speaking Mandarin."),
    ("Humanities", "History", "Sources, causes and consequences."),
    ("Humanities", "Philosophy", "Arguments about knowledge, ethics and being."),
    ("Humanities", "Literature", "Reading closely and writing about it."),
    ("Social Sciences", "Economics", "Markets, incentives and institutions."),
    ("Social Sciences", "Psychology", "Mind, behaviour and how to study them."),
    ("Social Sciences", "Law", "Rules, cases and how to argue them."),
    ("Health", "Anatomy", "The structure of the human body."),
    ("Health", "Pharmacology", "How drugs act and interact."),
];
