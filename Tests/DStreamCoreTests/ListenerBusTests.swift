import BatchEngine
import DStreamCore
import Synchronization
import Testing

/// Delivery of events, and what their payloads compute.
@Suite(.timeLimit(.minutes(5))) struct ListenerBusTests {
    @Test func eventsReachTheirMethods() {
        let (bus, listener) = (ListenerBus(), NamingListener())
        bus.add(listener)
        for event in Samples.spark { bus.post(event) }
        #expect(
            listener.names == [
                "streamingStarted", "receiverStarted", "receiverError", "receiverStopped",
                "batchSubmitted", "batchStarted", "batchCompleted", "outputStarted",
                "outputCompleted",
            ])
    }

    @Test func eventsWithoutAMethodReachOnEvent() {
        let (bus, all, named) = (ListenerBus(), RecordingListener(), NamingListener())
        bus.add(named)
        bus.add(all)
        bus.post(.batchLate(time: .seconds(1), by: .milliseconds(5)))
        #expect(all.events == [.batchLate(time: .seconds(1), by: .milliseconds(5))])
        #expect(named.names.isEmpty)
    }

    @Test func listenersAreAddedOnceAndRemovedByIdentity() {
        let (bus, first, second) = (ListenerBus(), RecordingListener(), RecordingListener())
        bus.add(first)
        bus.add(first)
        bus.add(second)
        bus.post(Samples.rate(1))
        bus.remove(first)
        bus.remove(first)
        bus.post(Samples.rate(2))
        #expect(first.events == [Samples.rate(1)])
        #expect(second.events == [Samples.rate(1), Samples.rate(2)])
        #expect(bus.listenerCount == 1)
    }

    @Test func whatAListenerPostsFollowsWhatItIsTold() {
        let (bus, before, after) = (ListenerBus(), RecordingListener(), RecordingListener())
        let echo = RecordingListener { event in
            if event == Samples.rate(1) { bus.post(Samples.rate(2)) }
        }
        for listener in [before, echo, after] { bus.add(listener) }
        bus.post(Samples.rate(1))
        #expect(before.events == [Samples.rate(1), Samples.rate(2)])
        #expect(after.events == before.events)
    }

    @Test(.timeLimit(.minutes(1)))
    func aRemovedListenerMayCallTheBusAtItsEnd() async {
        let bus = ListenerBus()
        let ended = Locked(0)
        for _ in 0..<2 {
            bus.add(LeavingListener(bus) { ended.withLock { $0 += 1 } })
        }
        bus.post(Samples.rate(1))
        bus.post(Samples.rate(2))
        #expect(ended.withLock { $0 } == 2 && bus.listenerCount == 0)
    }

    @Test func aListenerMayAddAndRemoveWhileItIsTold() {
        let (bus, late) = (ListenerBus(), RecordingListener())
        let changing = RecordingListener { [weak late] _ in late.map { bus.add($0) } }
        bus.add(changing)
        bus.post(Samples.rate(1))
        bus.post(Samples.rate(2))
        #expect(late.events == [Samples.rate(2)])
    }

    @Test func whatAFloodedListenerMissesIsCounted() {
        let (bus, listener) = (ListenerBus(capacity: 2), RecordingListener())
        let flooding = RecordingListener { event in
            guard event == Samples.rate(0) else { return }
            for rate in Int64(1)...5 { bus.post(Samples.rate(rate)) }
        }
        bus.add(flooding)
        bus.add(listener)
        bus.post(Samples.rate(0))
        #expect(
            listener.events == [
                Samples.rate(0), Samples.rate(1), Samples.rate(2), .eventsDropped(count: 3),
            ])
        #expect(bus.droppedEventCount == 3)
    }

    @Test func concurrentPostsComeOneAtATimeAndInOneOrder() async {
        let (bus, first, second) = (ListenerBus(), RecordingListener(), RecordingListener())
        bus.add(first)
        bus.add(second)
        await withTaskGroup(of: Void.self) { group in
            for poster in Int64(0)..<4 {
                group.addTask {
                    for index in Int64(1)...500 { bus.post(Samples.rate(poster * 1000 + index)) }
                }
            }
        }
        bus.post(Samples.rate(1))
        #expect(first.events.count == 2001)
        #expect(first.events == second.events)
        #expect(!first.wasReentered && !second.wasReentered)
    }

    @Test func delaysOfABatchAreThereOnceItHasThem() {
        let waiting = Samples.batch(start: nil, end: nil)
        #expect(waiting.schedulingDelay == nil && waiting.totalDelay == nil)
        let running = Samples.batch(start: 1030, end: nil)
        #expect(running.schedulingDelay == .milliseconds(30) && running.processingDelay == nil)
        let done = Samples.batch(start: 1030, end: 1050)
        #expect(done.processingDelay == .milliseconds(20))
        #expect(done.totalDelay == .milliseconds(50))
        #expect(done.recordCount == 7)
    }

    @Test func recordCountsAreNeverNegativeAndNeverOverflow() {
        let input = StreamInputInfo(
            inputStreamID: StreamID(0), recordCount: -3, metadata: ["Description": "x"])
        #expect(input.recordCount == 0 && input.metadataDescription == "x")
        let huge = (0..<2).map { StreamInputInfo(inputStreamID: StreamID($0), recordCount: .max) }
        let batch = BatchInfo(
            batchTime: .zero, streamIDToInputInfo: [StreamID(0): huge[0], StreamID(1): huge[1]],
            submissionTime: .zero)
        #expect(batch.recordCount == .max)
    }

    @Test func theStatisticsCoverTheLastBatches() throws {
        let logger = RecordingLogger()
        let statistics = StatsReportListener(batchCount: 4, logger: logger)
        #expect(statistics.totalDelays == nil)
        for end in [Int64(9000), 1100, 1200, 1300, 1400] {
            statistics.onEvent(.batchCompleted(Samples.batch(start: 1000, end: end)))
        }
        let delays = try #require(statistics.totalDelays)
        #expect(delays.count == 4 && delays.mean == .milliseconds(250))
        #expect(delays.minimum == .milliseconds(100) && delays.maximum == .milliseconds(400))
        #expect(delays.median == .milliseconds(300))
        #expect(logger.messages.count == 10)
        #expect(
            logger.messages.last
                == "Processing time: count 4, mean 250 ms, stdev 111 ms, 0% 100 ms, 5% 100 ms,"
                + " 10% 100 ms, 25% 200 ms, 50% 300 ms, 75% 400 ms, 90% 400 ms, 95% 400 ms,"
                + " 100% 400 ms")
    }

    @Test func noValueForgesALogLine() {
        let line = StandardErrorDiagnosticLogger.line(
            level: .warning, message: "a\nb", metadata: ["z": "1", "k": "\u{1B}[2J"])
        #expect(line == "[warning] a\\nb k=\\u{1B}[2J z=1\n")
    }
}

/// Keeps the events it is told, and may act on each.
private final class RecordingListener: StreamingListener {
    private let recorded = Locked<[StreamEvent]>([])
    private let isInside = Atomic<Bool>(false)
    private let reentered = Atomic<Bool>(false)
    private let action: @Sendable (StreamEvent) -> Void

    init(_ action: @escaping @Sendable (StreamEvent) -> Void = { _ in }) {
        self.action = action
    }

    var events: [StreamEvent] { recorded.withLock { $0 } }
    var wasReentered: Bool { reentered.load(ordering: .relaxed) }

    func onEvent(_ event: StreamEvent) {
        if isInside.exchange(true, ordering: .acquiring) {
            reentered.store(true, ordering: .relaxed)
        }
        recorded.withLock { $0.append(event) }
        action(event)
        isInside.store(false, ordering: .releasing)
    }
}

/// Keeps the names of the methods that were called.
private final class NamingListener: StreamingListener {
    private let recorded = Locked<[String]>([])

    var names: [String] { recorded.withLock { $0 } }

    private func note(_ name: String) { recorded.withLock { $0.append(name) } }

    func onStreamingStarted(at time: BatchTime) { note("streamingStarted") }
    func onReceiverStarted(_ receiver: ReceiverInfo) { note("receiverStarted") }
    func onReceiverError(_ receiver: ReceiverInfo) { note("receiverError") }
    func onReceiverStopped(_ receiver: ReceiverInfo) { note("receiverStopped") }
    func onBatchSubmitted(_ batch: BatchInfo) { note("batchSubmitted") }
    func onBatchStarted(_ batch: BatchInfo) { note("batchStarted") }
    func onBatchCompleted(_ batch: BatchInfo) { note("batchCompleted") }
    func onOutputOperationStarted(_ operation: OutputOperationInfo) { note("outputStarted") }
    func onOutputOperationCompleted(_ operation: OutputOperationInfo) { note("outputCompleted") }
}

/// Keeps the messages it is given.
private final class RecordingLogger: DiagnosticLogger {
    private let recorded = Locked<[String]>([])

    var messages: [String] { recorded.withLock { $0 } }

    func log(
        level: DiagnosticLevel, _ message: @autoclosure () -> String, metadata: [String: String]
    ) {
        let text = message()
        recorded.withLock { $0.append(text) }
    }
}

private enum Samples {
    static func rate(_ rate: Int64) -> StreamEvent {
        .rateUpdated(stream: StreamID(0), elementsPerSecond: rate)
    }

    static func batch(start: Int64?, end: Int64?) -> BatchInfo {
        BatchInfo(
            batchTime: .seconds(1),
            streamIDToInputInfo: [
                StreamID(0): StreamInputInfo(inputStreamID: StreamID(0), recordCount: 3),
                StreamID(1): StreamInputInfo(inputStreamID: StreamID(1), recordCount: 4),
            ], submissionTime: .milliseconds(1000),
            processingStartTime: start.map { .milliseconds($0) },
            processingEndTime: end.map { .milliseconds($0) })
    }

    /// One event of each kind that has a method, in the order of the methods.
    static var spark: [StreamEvent] {
        let receiver = ReceiverInfo(
            streamID: StreamID(0), name: "r", isActive: true, location: "h", executorID: "1")
        let output = OutputOperationInfo(batchTime: .zero, id: 0, name: "n", description: "d")
        let info = batch(start: nil, end: nil)
        return [
            .streamingStarted(.zero), .receiverStarted(receiver), .receiverError(receiver),
            .receiverStopped(receiver), .batchSubmitted(info), .batchStarted(info),
            .batchCompleted(info), .outputOperationStarted(output),
            .outputOperationCompleted(output),
        ]
    }
}

/// Leaves with its first event, and asks the bus at its end.
private final class LeavingListener: StreamingListener {
    private let bus: ListenerBus
    private let onEnd: @Sendable () -> Void

    init(_ bus: ListenerBus, onEnd: @escaping @Sendable () -> Void) {
        self.bus = bus
        self.onEnd = onEnd
    }

    func onEvent(_ event: StreamEvent) { bus.remove(self) }

    deinit {
        _ = bus.listenerCount
        onEnd()
    }
}
