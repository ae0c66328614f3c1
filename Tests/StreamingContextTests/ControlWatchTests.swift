import BatchEngine
import DStreamCore
import DStreamTestKit
import Dispatch
import StreamingContext
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Control planes that do not move, and who reports it.
@Suite("A control plane that stalls", .timeLimit(.minutes(5)))
struct ControlWatchTests {
    @Test("is reported once, with what it waits for, and once when it moves again")
    func stall() async throws {
        let (clock, notes) = (ManualClock(), Notes<String>())
        let (isThere, mayGo, isPast) = (TestGate(), TestGate(), TestGate())
        let watch = ControlWatch(
            appName: "app", clock: clock, logger: NotingLogger(notes: notes),
            activity: { "batchCompleted in the listener Slow" },
            [
                ControlWatch.Station("the generator") {
                    isThere.open()
                    try? await mayGo.wait()
                },
                ControlWatch.Station("the scheduler") { isPast.open() },
            ])
        async let _: Void = watch.run()
        watch.look()
        try await isThere.wait()
        // A clock that jumps is none.
        clock.advance(by: .seconds(3600))
        watch.look()
        #expect(notes.all.isEmpty)
        for _ in 0..<8 {
            clock.advance(by: .seconds(1))
            watch.look()
        }
        #expect(
            notes.all == [
                "app: the generator has not moved for 3604 s, during batchCompleted in the listener "
                    + "Slow. It was called and has not answered"
            ])
        mayGo.open()
        try await isPast.wait()
        watch.look()
        #expect(notes.all.count == 2)
        #expect(notes.all.last == "app: the generator moves again, after 3608 s")
    }

    @Test("a blocked pool is reported from outside it, and what its threads do")
    func blockedPool() async {
        await #expect(processExitsWith: .success) {
            let clock = ManualClock()
            let watch = ControlWatch(
                appName: "app", clock: clock,
                logger: EndingLogger(text: [
                    "app: the pool of threads that all tasks share has not moved for ",
                    "Code that blocks holds its",
                ]), activity: { nil }, [])
            let (hasBlocked, never) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
            try SystemThread.start(name: "looks") {
                for _ in 0..<ResourceUsage.coreCount() { hasBlocked.wait() }
                // The first look may still find the loop on its way to its first wait.
                for _ in 0..<7 {
                    watch.look()
                    clock.advance(by: .seconds(1))
                }
                watch.look()
                print("nothing was reported")
                exit(2)
            }
            let block: @Sendable () -> Void = {
                hasBlocked.signal()
                never.wait()
            }
            await withDiscardingTaskGroup { group in
                group.addTask { await watch.run() }
                for _ in 0..<100 { group.addTask { @concurrent in block() } }
            }
        }
    }

    @Test("stores and handlers that block all their threads are reported")
    func blockedStores() async {
        await #expect(processExitsWith: .success) {
            var components = StreamHarness.quietComponents
            components.logger = EndingLogger(text: [
                "app: the group of threads for stores and handlers has not moved for "
            ])
            components.clock = SystemStreamClock()
            let ssc = StreamingContext(
                appName: "app", batchInterval: .seconds(1), components: components)
            ssc.queueStream(RDDQueue<Int>()).foreachRDD { _ in }
            let semaphore = DispatchSemaphore(value: 0)
            let block: @Sendable () -> Void = { semaphore.wait() }
            try await ssc.start()
            await withDiscardingTaskGroup { group in
                for _ in 0..<UserThreads.limit {
                    group.addTask { await UserThreads.run { block() } }
                }
            }
        }
    }

    /// Ends the process, well if the first warning has a text.
    private struct EndingLogger: DiagnosticLogger {
        let text: [String]

        func log(
            level: DiagnosticLevel, _ message: @autoclosure () -> String, metadata: [String: String]
        ) {
            guard level >= .warning else { return }
            let found = message()
            let isRight = text.allSatisfy { found.contains($0) }
            if !isRight { print(found) }
            exit(isRight ? 0 : 3)
        }
    }
}
