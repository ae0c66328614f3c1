import DStreamCore
import Testing

/// What the schedule merges adds up to the windows, for every shape.
///
/// Method: the steps are carried out on lists of pane numbers instead of tables.
@Suite struct WindowScheduleTests {
    private struct Shape: CustomStringConvertible {
        let window: Int
        let slide: Int
        var description: String { "window \(window), slide \(slide)" }
    }

    private static let shapes = (1...70).flatMap { window in
        (1...16).map { Shape(window: window, slide: $0) }
    }

    /// The parts that exist after a slide, as lists of panes.
    private struct Parts {
        var back: [Int: [Int]] = [0: []]
        var turned: [Int: [Int]] = [:]
        var undo: [Int: ClosedRange<Int>] = [:]
        var front: [Int: [Int]] = [0: []]

        mutating func take(_ slide: Int, _ schedule: WindowSchedule) throws -> [Int] {
            let entering = Array(schedule.entering(slide))
            back[slide] =
                schedule.beginsBlock(slide)
                ? entering : try #require(back[slide - 1]) + entering
            if let turn = schedule.turn(slide) {
                let before = turn.isFirst ? [] : try #require(turned[slide - 1])
                turned[slide] = Array(turn.panes) + before
                if !turn.isFirst { undo[slide] = turn.panes }
            }
            switch schedule.front(slide) {
            case .none: front[slide] = []
            case .turned(let made):
                // Only what one slide before has made is kept.
                #expect(made == slide || made == slide - 1)
                let whole: [Int] = try #require(turned[made])
                front[slide] = whole
            case .stepped(let undone, let leaving, let rest):
                #expect(try #require(undo[undone]) == leaving)
                front[slide] = Array(try #require(front[slide - 1]).dropFirst(leaving.count))
                #expect(front[slide] == Array(rest))
            }
            var middle: [Int] = []
            if schedule.hasMiddle(slide) {
                let made = try #require((1..<slide).last { schedule.endsBlock($0) })
                middle = try #require(back[made])
            }
            return try #require(front[slide]) + middle + (try #require(back[slide]))
        }
    }

    @Test func partsAddUpToWindows() throws {
        for shape in Self.shapes {
            guard
                let schedule = WindowSchedule(
                    panesPerWindow: shape.window, panesPerSlide: shape.slide)
            else {
                #expect(shape.window <= 2 * shape.slide + 3, "\(shape)")
                continue
            }
            var parts = Parts()
            for slide in 1...(6 * shape.window / shape.slide) {
                let end = slide * shape.slide
                let window = max(1, end - shape.window + 1)...end
                #expect(try parts.take(slide, schedule) == Array(window), "\(shape) at \(slide)")
            }
        }
    }

    @Test func windowsThatCannotWorkHaveNoSchedule() {
        #expect(WindowSchedule(panesPerWindow: 0, panesPerSlide: 1) == nil)
        #expect(WindowSchedule(panesPerWindow: 10, panesPerSlide: 0) == nil)
        #expect(WindowSchedule(panesPerWindow: -10, panesPerSlide: -1) == nil)
    }
}
