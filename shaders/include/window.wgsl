// Which positions attention sees. WINDOW: how many of the last ones, or 0 for all.

// First position that a query at `pos` sees.
fn first_visible(pos: u32) -> u32 {
#if WINDOW == 0u
    return 0u;
#else
    return pos - min(pos, WINDOW - 1u);
#endif
}
