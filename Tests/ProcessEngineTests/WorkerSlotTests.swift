import BatchEngine
import ProcessEngine
import Testing

/// The place of one worker: who gets it, and how it ends.
@Suite(.timeLimit(.minutes(5))) struct WorkerSlotTests {
    private let slot = WorkerSlot(number: 0)
    private let source = GatedSource()

    @Test("what had to wait does not start a worker for a stage that has failed")
    func failedStage() async {
        let flag = CancellationFlag()
        flag.cancel()
        source.gate.set()
        await #expect(throws: CancellationError.self) {
            try await slot.withWorker(from: source, unless: flag) { _ in }
        }
        #expect(source.starts == 0)
    }

    @Test("a worker that comes after the end is killed")
    func closedWhileStarting() async {
        async let error = stopped()
        await source.asked.wait()
        slot.close()
        source.gate.set()
        #expect(await error?.code == .stopped)
        #expect(source.link.hasEnded)
        #expect(await stopped()?.code == .stopped)
        #expect(source.starts == 1)
    }

    private func stopped() async -> EngineError? {
        await #expect(throws: EngineError.self) {
            try await slot.withWorker(from: source) { _ in }
        }
    }

    @Test("a worker that was killed because its task was cancelled is no failure")
    func cancelled() async {
        source.gate.set()
        let task = Task {
            try await slot.withWorker(from: source) { worker in
                try await worker.exchange(Frames.Message(.task, []), limit: nil)
            }
        }
        await source.link.waitForMessage()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test("a worker that is lost is a failure")
    func lost() async {
        source.gate.set()
        let task = Task {
            try await slot.withWorker(from: source) { worker in
                try await worker.exchange(Frames.Message(.task, []), limit: nil)
            }
        }
        await source.link.waitForMessage()
        source.link.kill()
        await #expect(throws: WorkerLost.self) { try await task.value }
    }
}
