import BatchEngine
import DStreamTestKit
import ReceiverRuntime
import Synchronization
import Testing

@Suite("Receivers are checked", .timeLimit(.minutes(5)))
struct WrongReceiverTests {
    @Test("ours keep their promises")
    func right() async throws {
        let feed = FeedReceiver<Int>()
        try await checkReceiver(feed) { start in
            try await feed.output(run: start + 1).store(block: [1, 2])
            return [2, 1]
        }
        let scripted = ScriptedReceiver<String>(
            [.elements(["a", "b"]), .block(["a"])], [.array(["c"]), .fail(CancellationError())])
        try await checkReceiver(scripted) { start in start == 0 ? ["a", "a", "b"] : ["c"] }
    }

    @Test(
        "wrong ones are noticed",
        arguments: zip(
            WrongReceiver.Fault.allCases,
            [
                "stores what comes, each time it is started: it did not within",
                "stores what comes and nothing else", "each time it is started",
                "run returns soon once its task is cancelled", "a receiver has a name",
            ]))
    func fault(_ fault: WrongReceiver.Fault, promise: String) async {
        let receiver = WrongReceiver(fault)
        let isSlow = [.losesElements, .runsOnce, .ignoresItsEnd].contains(fault)
        let failure = await failure {
            try await checkReceiver(receiver, patience: isSlow ? .seconds(2) : .seconds(60)) { _ in
                [1, 2, 3]
            }
        }
        receiver.end()
        #expect(failure.contains(promise))
    }
}

final class WrongReceiver: Receiver {
    enum Fault: CaseIterable {
        case losesElements, doublesElements, runsOnce, ignoresItsEnd, hasNoName
    }

    private let fault: Fault
    private let starts = Mutex(0)
    private let hasEnded = Monitor(false)

    init(_ fault: Fault) { self.fault = fault }

    var name: String { fault == .hasNoName ? "" : "wrong" }

    /// Lets one that ignores its cancellation end.
    func end() {
        hasEnded.withLock { $0 = true }
        hasEnded.broadcast()
    }

    func run(_ output: ReceiverOutput<Int>) async throws {
        let start = starts.withLock { starts in
            starts += 1
            return starts
        }
        var numbers = [1, 2, 3]
        switch fault {
        case .losesElements: numbers = [1, 3]
        case .doublesElements: numbers = [1, 1, 2, 3]
        case .runsOnce where start > 1: numbers = []
        default: break
        }
        for number in numbers { try await output.store(number) }
        if fault == .ignoresItsEnd { hasEnded.wait { $0 ? () : nil } }
        try await output.untilStopped()
    }
}
