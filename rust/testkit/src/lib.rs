//! Goldens, models and comparison measures for the tests of the workspace.
