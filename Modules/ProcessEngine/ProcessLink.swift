package import BatchEngine
internal import Synchronization

/// A worker that is a process of its own.
///
/// Its end is noticed by the process, not by the connection alone: a process that it has forked may
/// hold that open.
package final class ProcessLink: WorkerLink {
    private let process: ChildProcess
    private let connection: LocalConnection
    private let number: Int
    private let reader = Locked(FrameReader())
    private let isKilled = CancellationFlag()

    /// Takes over a process that has connected, and waits for its end on a thread of its own.
    ///
    /// - Throws: `SystemError` when there is no thread for that.
    package init(
        _ process: ChildProcess, _ connection: LocalConnection, number: Int
    ) throws(SystemError) {
        self.process = process
        self.connection = connection
        self.number = number
        try BlockingThreads.shared.submit {
            _ = process.wait()
            connection.notePeerEnd()
        }
    }

    deinit { kill() }

    package var processID: Int32? { process.id }

    package var hasEnded: Bool { isKilled.isCancelled || process.poll() != nil }

    package func kill() {
        // A process that was told to end may take a moment for it.
        isKilled.cancel()
        process.kill()
        connection.close()
    }

    /// Kills the process and leaves the connection to it.
    func crash() { process.kill() }

    package func exchange(
        _ message: Frames.Message, limit: Duration?
    ) async throws -> Frames.Message {
        let deadline = limit.map { SystemTime.monotonic() + $0 }
        let frames = try FramedMessage(message)
        do {
            try await connection.writeAll(frames, deadline: deadline)
            return try await receive(deadline: deadline)
        } catch let error as SystemError where error.isTimeout {
            kill()
            throw WorkerLost(
                description: "worker \(number) was killed: the task took longer than "
                    + "\(limit ?? .zero)")
        } catch let error as WorkerProtocolError {
            kill()
            throw WorkerLost(
                description: "worker \(number) was killed: \(error)")
        } catch is SystemError {
            throw try await lost()
        }
    }

    /// Sends a message that is not answered, or in its own time.
    ///
    /// - Throws: ``WorkerLost`` when the worker has ended, `CancellationError`.
    func send(_ message: Frames.Message) async throws {
        let frames = try FramedMessage(message)
        do { try await connection.writeAll(frames, deadline: nil) } catch is SystemError {
            throw try await lost()
        }
    }

    /// Waits for the next message, which is to be of a kind.
    ///
    /// - Throws: ``WorkerLost`` when the worker has ended, or broke the protocol and was killed;
    ///   `CancellationError`.
    func receive(_ kind: Frames.Kind) async throws -> [UInt8] {
        do {
            let message = try await receive(deadline: nil)
            guard message.kind == kind else {
                throw WorkerProtocolError("a \(message.kind) came where a \(kind) was due")
            }
            return message.payload
        } catch let error as WorkerProtocolError {
            kill()
            throw WorkerLost(description: "worker \(number) was killed: \(error)")
        } catch is SystemError {
            throw try await lost()
        }
    }

    /// The next message of the worker.
    func receive(deadline: Duration?) async throws -> Frames.Message {
        while true {
            let count = try await connection.receive(deadline: deadline) {
                receive throws(SystemError) in
                try reader.withLock { reader throws(SystemError) in try reader.fill(receive) }
            }
            if count == 0 { throw try await lost() }
            let message = try reader.withLock { reader throws(WorkerProtocolError) in
                try reader.next()
            }
            if let message { return message }
        }
    }

    /// Says how the worker ended, whose connection has.
    private func lost() async throws -> WorkerLost {
        // A process that is ending can still be at it, and one that is not is of no use any more.
        let end = try await BlockingThreads.shared.run { [process] in
            for _ in 0..<200 {
                if let end = process.poll() { return end }
                SystemThread.pause(microseconds: 10_000)
            }
            process.kill()
            return process.wait()
        }
        kill()
        return WorkerLost(description: "worker \(number) \(end)")
    }
}
