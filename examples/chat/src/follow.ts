/**
 * Keeps a scrolled place at its end while its content grows, until the reader scrolls up, however that is done.
 * Reaching the end again resumes following.
 */

/** Scroll positions are fractions of a pixel, heights are not. */
const rounding = 1;

/** Scroll positions can be older than the content: for this many milliseconds the reader may see the earlier end. */
const staleMs = 200;

const upwardKeys = new Set(["ArrowUp", "PageUp", "Home"]);

export class Follow {
  readonly #place: HTMLElement;
  readonly #onChange: (follows: boolean) => void;
  #follows = true;
  /** Where the place was when it was last looked at, and how high it and its content were. */
  #top = 0;
  #contentHeight = 0;
  #height = 0;
  /** The content's height before its last change, and the time of that change. */
  #earlierHeight = 0;
  #changedAt = 0;
  #touchY = 0;

  /** `content` grows in `place`. `onChange` is told whether the end is followed. */
  constructor(place: HTMLElement, content: HTMLElement, onChange: (follows: boolean) => void) {
    this.#place = place;
    this.#onChange = onChange;
    place.addEventListener("scroll", () => this.#scrolled());
    // A small step up may be over before its scroll event: the events of its cause come first.
    place.addEventListener("wheel", (event) => this.#wheeled(event), { passive: true });
    place.addEventListener("keydown", (event) => this.#pressed(event));
    place.addEventListener("touchstart", ({ touches }) => (this.#touchY = touches[0]?.clientY ?? 0), { passive: true });
    place.addEventListener("touchmove", (event) => this.#touched(event), { passive: true });
    // Called after the layout and before it is painted, so that the end never lags behind.
    const sizes = new ResizeObserver(() => this.#resized());
    sizes.observe(place);
    sizes.observe(content);
    this.#setFollows(true);
  }

  /** Goes to the end and stays there. */
  toEnd(): void {
    this.#setFollows(true);
    this.#stick();
  }

  /** Content has become taller or shorter, or the place itself has. */
  #resized(): void {
    if (this.#follows && this.#movedUp()) this.#setFollows(false);
    if (this.#follows) this.#stick();
    else this.#note();
  }

  #scrolled(): void {
    if (this.#follows) {
      if (this.#movedUp()) this.#setFollows(false);
    } else if (this.#place.scrollTop > this.#top && (this.#isAtEnd() || this.#wasAtEnd())) {
      this.#setFollows(true);
    }
    this.#note();
  }

  /**
   * When the content becomes shorter or the place taller, the browser moves the scroll position, not the reader. The
   * content may have grown again since, so that the position need not be at the end.
   */
  #movedUp(): boolean {
    const { scrollTop, scrollHeight, clientHeight } = this.#place;
    const hasLessToScroll = scrollHeight < this.#contentHeight || clientHeight > this.#height;
    return scrollTop < this.#top && !hasLessToScroll;
  }

  #isAtEnd(): boolean {
    const { scrollTop, scrollHeight, clientHeight } = this.#place;
    return scrollHeight - clientHeight - scrollTop <= rounding;
  }

  /** True if this is the end as it was before the content's last change, which the reader may have aimed at. */
  #wasAtEnd(): boolean {
    if (performance.now() - this.#changedAt > staleMs) return false;
    return this.#earlierHeight - this.#place.clientHeight - this.#place.scrollTop <= rounding;
  }

  #wheeled({ deltaY, ctrlKey }: WheelEvent): void {
    if (deltaY < 0 && !ctrlKey) this.#leave();
  }

  #touched({ touches }: TouchEvent): void {
    const y = touches[0]?.clientY ?? 0;
    if (y > this.#touchY) this.#leave();
    this.#touchY = y;
  }

  #pressed({ key, shiftKey, target }: KeyboardEvent): void {
    if (upwardKeys.has(key) || (key === " " && shiftKey && target === this.#place)) this.#leave();
    // The browser glides there, and would arrive where the end was.
    else if (key === "End") this.toEnd();
  }

  /** The reader goes up, if there is anything above. */
  #leave(): void {
    if (this.#place.scrollTop > 0) this.#setFollows(false);
  }

  #stick(): void {
    // Whatever the style sheet says: the next word would overtake smooth scrolling.
    this.#place.scrollTo({ top: this.#place.scrollHeight, behavior: "instant" });
    this.#note();
  }

  #note(): void {
    const { scrollTop, scrollHeight } = this.#place;
    if (scrollHeight !== this.#contentHeight) {
      this.#earlierHeight = this.#contentHeight;
      this.#changedAt = performance.now();
    }
    this.#top = scrollTop;
    this.#contentHeight = scrollHeight;
    this.#height = this.#place.clientHeight;
  }

  #setFollows(follows: boolean): void {
    this.#follows = follows;
    // Scroll anchoring would pull away from the end. Elsewhere it keeps the text being read in place.
    this.#place.style.overflowAnchor = follows ? "none" : "auto";
    this.#onChange(follows);
  }
}
