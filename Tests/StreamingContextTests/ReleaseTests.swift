import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Testing

/// Nothing holds a context that nobody uses.
@Suite("Letting go of a context")
struct ReleaseTests {
    /// A context with streams, that opens `gate` when it is gone.
    private func make(_ gate: TestGate, clock: ManualClock = ManualClock()) -> StreamingContext {
        var components = StreamHarness.quietComponents
        components.clock = clock
        let ssc = StreamingContext(
            appName: "released", batchInterval: .seconds(1), engine: .local(slots: 1),
            components: components)
        ssc.addStreamingListener(ReleaseProbe(gate))
        ssc.receiverStream(Feed<Int>()).map { ($0, 1) }.reduceByKey(+).foreachRDD { _ in }
        return ssc
    }

    private struct Weak { weak var context: StreamingContext? }

    @Test("dropped without a start, it is gone", .timeLimit(.minutes(5)))
    func neverStarted() async throws {
        let gate = TestGate()
        let weak = { Weak(context: make(gate)) }()
        try await gate.wait()
        #expect(weak.context == nil)
    }

    @Test("stopped without a start, it is gone", .timeLimit(.minutes(5)))
    func stoppedOnly() async throws {
        let gate = TestGate()
        let weak = await {
            let ssc = make(gate)
            await ssc.stop()
            return Weak(context: ssc)
        }()
        try await gate.wait()
        #expect(weak.context == nil)
    }

    @Test("after a start that failed, it is gone", .timeLimit(.minutes(5)))
    func failedStart() async throws {
        let gate = TestGate()
        let weak = await {
            let ssc = make(gate)
            ssc.remember(.seconds(1))
            ssc.remember(.seconds(2))
            await #expect(throws: StreamError.self) { try await ssc.start() }
            return Weak(context: ssc)
        }()
        try await gate.wait()
        #expect(weak.context == nil)
    }

    @Test("after start, batches and stop, it is gone", .timeLimit(.minutes(5)))
    func stopped() async throws {
        let gate = TestGate()
        let clock = ManualClock()
        let weak = try await {
            let ssc = make(gate, clock: clock)
            let listener = RecordingListener()
            ssc.addStreamingListener(listener)
            try await ssc.start()
            clock.advance(by: .seconds(1))
            try await listener.batchSettled(.seconds(1))
            await ssc.stop(graceful: true)
            return Weak(context: ssc)
        }()
        try await gate.wait()
        #expect(weak.context == nil)
        clock.finish()
    }

    @Test("a body that holds its own context lets go of it in the end", .timeLimit(.minutes(5)))
    func cycle() async throws {
        let gate = TestGate()
        let weak = try await {
            let ssc = make(gate)
            ssc.inputStream { [ssc] _, context in
                ssc.state == .active ? context.batch.parallelize([1]) : nil
            }.foreachRDD { [ssc] _ in #expect(ssc.state == .active) }
            try await ssc.start()
            await ssc.stop()
            return Weak(context: ssc)
        }()
        try await gate.wait()
        #expect(weak.context == nil)
    }
}
