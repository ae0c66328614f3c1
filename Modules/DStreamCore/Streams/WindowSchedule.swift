/// Which panes are merged at which slide of a window without inverse, and into what.
///
/// Panes (batches) and slides are counted from 1 at the graph's zero time; slide `n` ends with pane
/// `n × slide`. Time is cut into blocks of about half a window. A window begins within one block and
/// ends within the next but one at most, so it is the end of a block, at most one whole block, and
/// the beginning of a block:
///
/// ```
/// blocks   |···········|···········|···········|
/// window        [front |   middle  |  back ]
/// ```
///
/// The back grows by the panes of each slide. The fronts of a block are made from its end to its
/// beginning, one per slide, in the slides between the block's end and the first window that begins
/// in it. So a slide merges a constant number of tables, in the worst case too, and the order of
/// panes is kept. It is the two-stack queue of aggregates with the flip spread over the slides: by
/// the calendar rather than by counting, so that what a slide needs follows from its time alone.
///
/// Sources: K. Tangwongsan, M. Hirzel, S. Schneider, "Low-latency sliding-window aggregation in
/// worst-case constant time" (DEBS 2017), whose DABA spreads the flip of two stacks; the blocks with
/// aggregates from both ends are M. van Herk's and of J. Gil and M. Werman (1992, 1993).
package struct WindowSchedule: Sendable, Hashable {
    /// What a window begins with.
    package enum Front: Sendable, Hashable {
        /// Nothing: the window is longer than the history.
        case none
        /// The aggregate of a block from the window's start, as made at a slide.
        case turned(atSlide: Int)
        /// The last window's front without its oldest panes, taken off by what was noted at a slide.
        ///
        /// `rest` are the panes it covers.
        case stepped(undoneBySlide: Int, leaving: ClosedRange<Int>, rest: ClosedRange<Int>)
    }

    /// A step from the end of a block towards its beginning.
    package struct Turn: Sendable, Hashable {
        /// The panes put before those covered already.
        package let panes: ClosedRange<Int>
        /// Whether none are covered yet.
        package let isFirst: Bool
    }

    /// The panes that become part of the window in a slide.
    package let panesPerSlide: Int
    /// The panes of a window.
    package let panesPerWindow: Int
    /// The slides of a block.
    package let slidesPerBlock: Int
    /// The slides from a window's start to its end, begun ones included.
    private let slidesPerWindow: Int
    /// The panes between the end of a slide and the next start of a window.
    private let offset: Int

    /// Plans a window.
    ///
    /// nil: merging whole windows takes no more merges than ``mergeMaximum``.
    package init?(panesPerWindow: Int, panesPerSlide: Int) {
        guard panesPerSlide > 0, panesPerWindow > 2 * panesPerSlide + 3 else { return nil }
        self.panesPerWindow = panesPerWindow
        self.panesPerSlide = panesPerSlide
        slidesPerWindow = (panesPerWindow + panesPerSlide - 1) / panesPerSlide
        slidesPerBlock = (slidesPerWindow + 1) / 2
        offset = slidesPerWindow * panesPerSlide - panesPerWindow
    }

    /// The most tables that one slide merges: the new panes into the back, as many into a front
    /// that is being made, and the window's three parts.
    package var mergeMaximum: Int { 2 * panesPerSlide + 2 }

    private var panesPerBlock: Int { slidesPerBlock * panesPerSlide }

    /// The panes that a slide adds.
    package func entering(_ slide: Int) -> ClosedRange<Int> {
        (slide - 1) * panesPerSlide + 1...slide * panesPerSlide
    }

    /// Whether the back begins anew at a slide.
    package func beginsBlock(_ slide: Int) -> Bool { (slide - 1) % slidesPerBlock == 0 }

    /// Whether the back is a whole block at a slide.
    package func endsBlock(_ slide: Int) -> Bool { slide % slidesPerBlock == 0 }

    /// Whether a window has a whole block between its front and its back.
    package func hasMiddle(_ slide: Int) -> Bool {
        let back = (slide - 1) / slidesPerBlock
        let front = slide < slidesPerWindow ? -1 : (slide - slidesPerWindow) / slidesPerBlock
        return back - front == 2
    }

    /// The step by which a slide makes the fronts of the last whole block; nil before there is one.
    package func turn(_ slide: Int) -> Turn? {
        guard slide >= slidesPerBlock else { return nil }
        let step = slide % slidesPerBlock
        let blockStart = (slide / slidesPerBlock - 1) * panesPerBlock
        let start = blockStart + offset + (slidesPerBlock - 1 - step) * panesPerSlide
        let end = min(start + panesPerSlide, blockStart + panesPerBlock)
        return Turn(panes: start + 1...end, isFirst: step == 0)
    }

    /// What a window begins with.
    package func front(_ slide: Int) -> Front {
        let origin = slide - slidesPerWindow
        guard origin >= 0 else { return .none }
        let (block, step) = origin.quotientAndRemainder(dividingBy: slidesPerBlock)
        let turned = origin - step + 2 * slidesPerBlock
        if step == 0 { return .turned(atSlide: turned - 1) }
        let start = origin * panesPerSlide + offset
        return .stepped(
            undoneBySlide: turned - step, leaving: start - panesPerSlide + 1...start,
            rest: start + 1...(block + 1) * panesPerBlock)
    }
}
