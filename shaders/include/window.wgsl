// Which positions attention sees. WINDOW: 0, or the number of last ones.

// First position that a query at `pos` sees.
fn first_visible(pos: u32) -> u32 {
#if WINDOW == 0u
    return 0u;
#else
    return pos - min(pos, WINDOW - 1u);
#endif
}
