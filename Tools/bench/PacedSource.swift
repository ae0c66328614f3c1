import BatchEngine
import StreamingContext

/// Stores numbered records at a rate that can be changed while it runs.
///
/// What is due is stored every 10 ms. A source that is held up sends later what it could not, if it
/// keeps up; otherwise it makes less, like a peer that is slowed down.
final class PacedSource<Element: Sendable>: Receiver {
    private struct State {
        var rate: Double
        var sent = 0
        var isDone = false
        var hasEnded = false
    }

    private let state: Progress<State>
    private let keepsUp: Bool
    private let element: @Sendable (Int) -> Element

    /// Makes a source.
    ///
    /// - Parameters:
    ///   - rate: records per second.
    ///   - element: the record of a number, from 0.
    init(
        rate: Double, keepsUp: Bool, _ element: @escaping @Sendable (Int) -> Element
    ) {
        state = Progress(State(rate: rate))
        self.keepsUp = keepsUp
        self.element = element
    }

    /// Records stored so far.
    var sent: Int { state.seen.sent }

    func setRate(_ rate: Double) { state.change { $0.rate = rate } }

    /// Ends the source, and returns when the records under way have been stored.
    func finish() async {
        state.change { $0.isDone = true }
        await state.reached { $0.hasEnded }
    }

    func run(_ output: ReceiverOutput<Element>) async throws {
        var last = SystemTime.monotonic()
        var due = 0.0
        while !state.seen.isDone {
            let (rate, sent) = (state.seen.rate, state.seen.sent)
            let now = SystemTime.monotonic()
            due += rate * ((now - last) / .seconds(1))
            last = now
            if !keepsUp { due = min(due, rate / 10) }
            let count = Int(due)
            due -= Double(count)
            try await output.store(contentsOf: (sent..<sent + count).map(element))
            state.change { $0.sent += count }
            try await Task.sleep(for: .milliseconds(10))
        }
        state.change { $0.hasEnded = true }
        try await output.untilStopped()
    }
}
