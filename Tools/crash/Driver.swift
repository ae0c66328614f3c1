import BatchEngine
import Foundation

/// Starts the program, kills it, starts it again, and looks at what it left.
struct Driver {
    let directory: String
    let kills: Int
    let seed: UInt64
    private let deadline: Duration
    private var outputs: Outputs { Outputs(directory: directory) }

    init(directory: String, kills: Int, seed: UInt64) {
        self.directory = directory
        self.kills = kills
        self.seed = seed
        deadline = SystemTime.monotonic() + .seconds(120 + kills * 3)
    }

    private struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// The checkpoint directory over the kills.
    private struct Sizes {
        var most = 0
        var last = (files: 0, bytes: 0)

        mutating func note(_ size: (files: Int, bytes: Int)) {
            last = size
            most = max(most, size.files)
        }
    }

    /// What is seen at the kills.
    private struct Kills {
        var sizes = Sizes()
        var checkpoints: [LastCheckpoint] = []
        var damagedCount = 0
        var lastDamaged = 0
    }

    /// Whether all was as it should be.
    func run() async throws -> Bool {
        let source = try await NumberSource.open()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await source.serve() }
            defer { group.cancelAll() }
            var seen = Kills()
            var problem: (any Error)?
            do { try await killAndDrain(source, &seen) } catch { problem = error }
            let findings = try await Findings(outputs, source.deliveries, seen.checkpoints)
            report(findings, seen, problem)
            return problem == nil && findings.problems.allSatisfy(\.list.isEmpty)
        }
    }

    private func killAndDrain(_ source: NumberSource, _ seen: inout Kills) async throws {
        var random = Random(state: seed)
        for kill in 0..<kills {
            let process = try start(source.port)
            let end = SystemTime.monotonic() + lifetime(of: kill, &random)
            do {
                try await wait("a kill", process) { SystemTime.monotonic() >= end }
            } catch {
                await self.kill(process)
                throw error
            }
            await self.kill(process)
            try await look(&seen, &random)
        }
        let process = try start(source.port)
        do {
            // It has come so far that it ends when it is told to.
            let known = source.sent + 1
            try await wait("a new number", process) { source.acknowledged >= known }
            source.end()
            try await wait("the acknowledgement of everything", process) { source.isDone }
            process.terminate()
            try await wait("the end", process, mayEnd: true) { !process.isRunning }
        } catch {
            await kill(process)
            throw error
        }
        if process.terminationReason != .exit || process.terminationStatus != 0 {
            throw Failure(description: "ended with status \(process.terminationStatus)")
        }
    }

    /// Notes what a killed program left, and damages some of it.
    private func look(_ seen: inout Kills, _ random: inout Random) async throws {
        seen.sizes.note(outputs.checkpointSize())
        if Int.random(in: 0..<5, using: &random) == 0,
            let number = try LastCheckpoint.damage(in: outputs, after: seen.lastDamaged)
        {
            seen.lastDamaged = number
            seen.damagedCount += 1
        }
        if let checkpoint = try await LastCheckpoint(outputs) {
            seen.checkpoints.append(checkpoint)
        }
    }

    /// Some runs end while they recover, most after some batches, and some only when the logs have
    /// let go of what was done before.
    private func lifetime(of kill: Int, _ random: inout Random) -> Duration {
        if kill % 10 == 5 { return .milliseconds(Int.random(in: 1500...4000, using: &random)) }
        let most = Int.random(in: 0..<3, using: &random) == 0 ? 100 : 600
        return .milliseconds(Int.random(in: 5...most, using: &random))
    }

    private func start(_ port: Int) throws -> Process {
        let log = directory + "/log"
        try FileSystem.append(log, [], durability: .handedOver)
        let output = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        try output.seekToEnd()
        let process = Process()
        process.executableURL = Bundle.main.executableURL
        process.arguments = ["run", directory, "\(port)"]
        process.standardOutput = output
        process.standardError = output
        try process.run()
        return process
    }

    private func wait(
        _ what: String, _ process: Process, mayEnd: Bool = false, until isDone: () -> Bool
    ) async throws {
        while !isDone() {
            if !mayEnd, !process.isRunning {
                throw Failure(
                    description: "the program ended by itself with status "
                        + "\(process.terminationStatus) during the wait for \(what)")
            }
            if SystemTime.monotonic() > deadline {
                throw Failure(description: "its time passed during the wait for \(what)")
            }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    private func kill(_ process: Process) async {
        if process.isRunning { _ = Foundation.kill(process.processIdentifier, SIGKILL) }
        while process.isRunning { try? await Task.sleep(for: .milliseconds(1)) }
    }

    private func report(_ findings: Findings, _ seen: Kills, _ problem: (any Error)?) {
        for (name, list) in findings.problems {
            for text in list.prefix(5) { print("\(name): \(text)") }
        }
        if let problem { print("problem: \(problem)") }
        let counts = findings.problems.map { "\($0.name) \($0.list.count)" }
        print(
            "commit \(commit()), seed \(seed), kills \(kills), acknowledged "
                + "\(findings.acknowledged), \(counts.joined(separator: ", ")); "
                + "batches \(findings.batchCount), stored though not acknowledged "
                + "\(findings.resent), SQLite \(Database.isBuilt ? "yes" : "no"), checkpoints "
                + "damaged \(seen.damagedCount), files in their directory at most "
                + "\(seen.sizes.most), at the last kill \(seen.sizes.last.files) of "
                + "\(seen.sizes.last.bytes) bytes")
    }

    /// What was built, where git can tell.
    private func commit() -> String {
        let (git, output) = (Process(), Pipe())
        git.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        git.arguments = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
        git.standardOutput = output
        git.standardError = FileHandle.nullDevice
        guard (try? git.run()) != nil else { return "unknown" }
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        git.waitUntilExit()
        let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
        return text.isEmpty ? "unknown" : text
    }
}

/// Numbers that a seed decides.
private struct Random: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
