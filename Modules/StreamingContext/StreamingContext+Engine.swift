internal import BatchEngine
internal import DStreamCore
internal import Synchronization

extension StreamingContext {
    /// Tells the engine what the frozen graph consists of.
    ///
    /// - Throws: ``StreamError`` `.codecMissing` for every boundary that an engine cannot take out of
    ///   the process, `.engineUnusable` when the engine cannot run the program.
    func prepareEngine() async throws {
        let engine = batchContext.engine
        try? await BlockingThreads.shared.run { TemporaryDirectory.sweepOnce() }
        var program = graph.program
        if engine.capabilities.leavesProcess {
            let problems = program.codecProblems.map {
                StreamError(.codecMissing, $0.message, site: $0.site)
            }
            if let error = StreamError.gathering(problems) { throw error }
        }
        if let (name, sums) = application.withLock({ $0 }) {
            program.application = name
            program.accumulators += sums.all
        }
        program.onDriverStage = { [listeners, clock = components.clock] batch, site in
            let time = batch.map { BatchTime(milliseconds: $0) } ?? clock.now
            listeners.post(.stageRanInDriver(time: time, operatorName: "\(site)"))
        }
        program.services = receiverServices
        do { try await engine.prepare(program) } catch let error as EngineError {
            throw StreamError(.engineUnusable, error.message, site: error.site)
        }
    }

    /// Freezes the graph for running its kernels alone: no batch is made, and what is received
    /// goes to the driver.
    func freezeForWorker() throws -> EngineProgram {
        // Checked by the driver.
        graph.setCheckpointDirectory(true)
        graph.setFailureDefaults(configuration.failurePolicy, hasDeadLetters: true)
        try graph.start(zeroTime: .zero)
        var program = graph.program
        program.accumulators += application.withLock { $0?.sums.all } ?? []
        program.services = receiverServices
        return program
    }
}
