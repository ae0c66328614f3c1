import BatchEngine
import DStreamTestKit
import StreamingContext
import Synchronization
import Testing

struct DeviceLost: Error {}

@Suite("The code of the guide to receivers")
struct ReceiverGuideTests {
    @Test("a pipeline is tested with a script in place of its receiver", .timeLimit(.minutes(5)))
    func meansOfMeasurements() async throws {
        let harness = StreamHarness()
        let (stored, storedAgain) = (TestGate(), TestGate())
        let device = ScriptedReceiver<Double>(
            [.array([1, 3]), .open(stored), .fail(DeviceLost())],
            [.array([5]), .open(storedAgain)])
        let seen = harness.record(means(of: harness.ssc.receiverStream(device)))

        try await harness.ssc.start()
        try await stored.wait()
        try await harness.advance()
        // The receiver is started again two seconds after it failed.
        while device.startCount < 2 { try await harness.advance() }
        try await storedAgain.wait()
        await harness.ssc.stop(graceful: true)

        #expect(seen.batches.flatMap(\.elements) == [2, 5])
        #expect(harness.errors.isEmpty)
    }

    @Test("a receiver is tested against a double of its source", .timeLimit(.minutes(5)))
    func acknowledgesAfterStoring() async throws {
        let harness = StreamHarness()
        let broker = InMemoryBroker(["a", "b", "c"])
        let seen = harness.record(
            harness.ssc.receiverStream(BrokerReceiver(broker: broker)).map(\.text))

        try await harness.ssc.start()
        try await broker.acknowledged(3)
        let report = await harness.ssc.stop(graceful: true)

        #expect(report.isDrained)
        #expect(seen.batches.flatMap(\.elements) == ["a", "b", "c"])
    }

    @Test("the receiver of the unreliable kind stores what comes", .timeLimit(.minutes(5)))
    func unreliable() async throws {
        let harness = StreamHarness()
        let (values, continuation) = AsyncThrowingStream.makeStream(of: Double.self)
        let seen = harness.record(harness.ssc.receiverStream(DeviceReceiver { values }))
        try await harness.ssc.start()
        for value in [1.5, 2.5] { continuation.yield(value) }
        while seen.batches.flatMap(\.elements).count < 2 { try await harness.advance() }
        continuation.finish(throwing: DeviceLost())
        try await harness.listener.first { event in
            if case .receiverRestarting(let info, _) = event {
                info.lastError == "DeviceLost()"
            } else {
                false
            }
        }
        await harness.ssc.stop()
        #expect(seen.batches.flatMap(\.elements) == [1.5, 2.5])
    }

    @Test(
        "an acknowledgement that fails is reported, and the stream lives on",
        .timeLimit(.minutes(5)))
    func unacknowledged() async throws {
        let harness = StreamHarness()
        let broker = InMemoryBroker(["a"], refusesFirst: true)
        let seen = harness.record(
            harness.ssc.receiverStream(BrokerReceiver(broker: broker)).map(\.text))
        try await harness.ssc.start()
        try await harness.listener.first { event in
            if case .receiverError(let info) = event {
                info.lastErrorMessage == "offset 1 was not acknowledged"
            } else {
                false
            }
        }
        try await broker.acknowledged(1)
        await harness.ssc.stop(graceful: true)
        #expect(seen.batches.flatMap(\.elements) == ["a", "a"], "delivered twice, lost never")
    }

    @Test("a broker that has moved is looked for after ten seconds", .timeLimit(.minutes(5)))
    func moved() async throws {
        let harness = StreamHarness()
        let broker = InMemoryBroker([], hasMoved: true)
        _ = harness.record(harness.ssc.receiverStream(BrokerReceiver(broker: broker)))
        try await harness.ssc.start()
        try await harness.listener.first { event in
            if case .receiverRestarting(_, let delay) = event {
                delay == .seconds(10)
            } else {
                false
            }
        }
        await harness.ssc.stop()
    }

    @Test("what calls back is received", .timeLimit(.minutes(5)))
    func callbacks() async throws {
        let harness = StreamHarness()
        let feed = ManualFeed()
        let seen = harness.record(harness.ssc.receiverStream(CallbackReceiver(feed: feed)))
        try await harness.ssc.start()
        try await feed.isSubscribed.wait()
        feed.say("hello")
        while seen.batches.flatMap(\.elements).isEmpty { try await harness.advance() }
        await harness.ssc.stop()
        try await feed.isOver.wait()
        #expect(seen.batches.flatMap(\.elements) == ["hello"])
    }
}

/// A broker in memory.
final class InMemoryBroker: Broker {
    private struct State {
        var messages: [Message]
        var refusals: Int
        var waiters: [TestGate] = []
        private var gates: [Int: TestGate] = [:]

        init(messages: [Message], refusals: Int) {
            self.messages = messages
            self.refusals = refusals
        }

        mutating func gate(_ offset: Int) -> TestGate {
            let gate = gates[offset] ?? TestGate()
            gates[offset] = gate
            return gate
        }
    }

    private let state: Locked<State>
    private let hasMoved: Bool

    init(_ texts: [String], refusesFirst: Bool = false, hasMoved: Bool = false) {
        let messages = texts.enumerated().map { Message(offset: $0.offset + 1, text: $0.element) }
        state = Locked(State(messages: messages, refusals: refusesFirst ? 1 : 0))
        self.hasMoved = hasMoved
    }

    func receive() async throws -> [Message] {
        while true {
            let gate = TestGate()
            let messages = state.withLock { state in
                if state.messages.isEmpty { state.waiters.append(gate) }
                return state.messages
            }
            if !messages.isEmpty || hasMoved { return messages }
            try await gate.wait()
        }
    }

    func acknowledge(through offset: Int) async throws {
        try state.withLock { state in
            if state.refusals > 0 {
                state.refusals -= 1
                throw DeviceLost()
            }
            state.messages.removeAll { $0.offset <= offset }
            state.gate(offset).open()
        }
    }

    /// Waits until an offset was acknowledged.
    func acknowledged(_ offset: Int) async throws {
        try await state.withLock { $0.gate(offset) }.wait()
    }
}

/// A feed that says what a test tells it to.
final class ManualFeed: Feed {
    let isSubscribed = TestGate()
    let isOver = TestGate()
    private let hear = Locked<(@Sendable (String) -> Void)?>(nil)

    func subscribe(_ hear: @escaping @Sendable (String) -> Void) {
        self.hear.withLock { $0 = hear }
        isSubscribed.open()
    }

    func unsubscribe() { isOver.open() }

    func say(_ text: String) { hear.withLock { $0 }?(text) }
}
