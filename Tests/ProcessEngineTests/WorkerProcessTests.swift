import BatchEngine
import Foundation
import Testing

/// Programs whose tasks run in worker processes, seen from outside.
@Suite(.timeLimit(.minutes(5))) struct WorkerProcessTests {
    @Test("S30: everything gives the same as on threads")
    func everythingGivesTheSameAsOnThreads() async throws {
        let local = try await Program.run("everything", "batches=12")
        let remote = try await Program.run("everything", "engine=processes", "batches=12")
        #expect(local.end == .exited(0))
        #expect(local.outputs.count > 100)
        #expect(remote.outputs == local.outputs)
        #expect(remote.lines("ERROR") == [])
        #expect(remote.end == .exited(0))
    }

    @Test("S30: killed workers change nothing", arguments: 1...2)
    func killedWorkersChangeNothing(seed: Int) async throws {
        // As many batches as it takes until 201 workers were started, two of them without a kill: how
        // many kills hit a task depends on how fast tasks are. One task may be hit again and again.
        let remote = try await Program.run(
            "everything", "engine=processes", "starts=201", "failures=12", "kill=\(seed)")
        let batches = try #require(remote.lines("BATCHES").first)
        let local = try await Program.run("everything", "batches=\(batches)")
        #expect(local.end == .exited(0) && local.outputs.count > 60)
        #expect(remote.outputs == local.outputs)
        #expect(remote.lines("ERROR") == [])
        let started = try #require(remote.lines("STARTED").first.flatMap { Int($0) })
        #expect(started > 200)
    }

    @Test("S31: a trap fails its batch and nothing else")
    func aTrapFailsItsBatchAndNothingElse() async throws {
        let run = try await Program.run("poison", "engine=processes", "batches=5")
        #expect(
            run.outputs.map { $0.prefix(13) }.sorted().map { String($0) } == [
                "lengths 1000 ", "lengths 2000 ", "lengths 4000 ", "lengths 5000 ",
            ])
        let error = try #require(run.lines("ERROR").first)
        #expect(run.lines("ERROR").count == 1)
        #expect(error.contains("a trap in user code"))
        #expect(error.contains("partition 0, tried 4 times"))
        #expect(error.contains("Pipelines.swift"))
        let local = try await Program.run("poison", "batches=5")
        #expect(local.lines == [])
        guard case .signalled = local.end else { return #expect(Bool(false), "\(local.end)") }
    }

    @Test("S31: a hanging task is killed at its limit")
    func aHangingTaskIsKilledAtItsLimit() async throws {
        let run = try await Program.run(
            "hang", "engine=processes", "batches=4", "limit=1000", "failures=4")
        #expect(run.outputs.count == 3)
        let error = try #require(run.lines("ERROR").first)
        #expect(error.contains("the task took longer than"))
        #expect(run.lines("ERROR").count == 1)
    }

    @Test func whatUserCodeThrowsArrives() async throws {
        let run = try await Program.run("throwing", "engine=processes", "batches=4")
        let local = try await Program.run("throwing", "batches=4")
        #expect(run.outputs == local.outputs)
        #expect(run.lines("ERROR") == local.lines("ERROR"))
        #expect(run.lines("ERROR").count == 1)
    }

    @Test func whatWorkersPrintBlocksNobody() async throws {
        let run = try await Program.run("chatty", "engine=processes", "batches=3")
        #expect(run.outputs.filter { $0.hasPrefix("numbers") }.count == 3)
        // Workers write at the same time, and a pipe does not keep long lines apart.
        #expect(run.lines.joined().utf8.count { $0 == UInt8(ascii: "h") } == 18 * 20_000)
        #expect(run.lines("ERROR") == [])
    }

    @Test func broadcastValuesAndSumsCrossTheBoundary() async throws {
        let local = try await Program.run("sums", "batches=3")
        let remote = try await Program.run("sums", "engine=processes", "batches=3")
        #expect(remote.outputs == local.outputs)
        #expect(remote.outputs.count == 3)
    }

    @Test func stagesMadeInBodiesAreTold() async throws {
        let local = try await Program.run("bodies", "batches=3")
        let remote = try await Program.run("bodies", "engine=processes", "batches=3")
        #expect(remote.outputs == local.outputs)
        #expect(remote.lines("DRIVER").count == 2)
        #expect(remote.lines("DRIVER").count { $0.contains("transform at") } == 1)
        #expect(remote.lines("DRIVER").count { $0.contains("reduceByKey at") } == 1)
        let strict = try await Program.run("bodies", "engine=processes", "batches=1", "strict")
        let error = try #require(strict.lines("ERROR").first)
        #expect(error.contains("strict mode refuses"))
        #expect(error.contains("mapPartitions"))
    }

    @Test("S32: missing codecs are refused at start")
    func missingCodecsAreRefusedAtStart() async throws {
        let run = try await Program.run("codecs", "engine=processes")
        let message = run.lines.joined(separator: "\n")
        #expect(run.end == .exited(1))
        #expect(message.contains("3 declarations cannot work"))
        #expect(message.contains("what groupByKey makes"))
        #expect(message.contains("the state of mapWithState"))
        #expect(message.contains("NoCodec"))
        #expect(try await Program.run("codecs", "batches=1").end == .exited(0))
    }

    @Test("S32: another graph is refused at start")
    func anotherGraphIsRefusedAtStart() async throws {
        let run = try await Program.run("other-graph", "engine=processes")
        let message = try #require(run.lines("FAILED").first)
        #expect(message.contains("it built another graph"))
        #expect(message.contains("1:map"))
    }

    @Test func aGraphBuiltInPlaceIsRefused() async throws {
        let run = try await Program.run("imperative")
        let message = try #require(run.lines("FAILED").first)
        #expect(message.contains("StreamingApplication"))
        #expect(run.end == .exited(1))
    }

    @Test(arguments: [
        ("noise", "bytes came that are no frame"), ("oversize", "it may have 262144"),
        ("secret", "it does not know the secret"), ("silent", "ended by itself with status 0"),
    ])
    func workersThatBreakTheProtocolAreRefused(kind: String, reason: String) async throws {
        let run = try await Program.run("garbage", "engine=processes", "kind=\(kind)")
        let message = try #require(run.lines("FAILED").first)
        #expect(message.contains(reason))
    }

    @Test("S31: a worker that does not come back at once is a failed try")
    func aWorkerThatDoesNotComeBackAtOnceIsAFailedTry() async throws {
        let folder = try FileSystem.createTemporaryDirectory(prefix: "probe")
        let run = try await Program.run(
            "restart", "engine=processes", "workers=1", "batches=2", "folder=\(folder)")
        #expect(run.lines("ERROR") == [])
        #expect(run.outputs.count == 2)
        // The first one, the one that gave up, and the one after it.
        #expect(try FileSystem.list(folder).count == 3)
        try FileSystem.removeTree(folder)
    }

    @Test(
        "S33: a driver that is killed while a worker builds its graph leaves nothing behind",
        .timeLimit(.minutes(2)))
    func aDriverKilledEarlyLeavesNothingBehind() async throws {
        let folder = try FileSystem.createTemporaryDirectory(prefix: "probe")
        let program = try await Program(
            ["slow-build", "engine=processes", "workers=1"], environment: ["TMPDIR": folder])
        #expect(try await program.nextLine() == "BUILDING")
        program.kill()
        _ = try await program.remainingLines()
        _ = try await program.ended()
        #expect(try FileSystem.list(folder) == [])
        try FileSystem.removeTree(folder)
    }

    @Test("S33: a killed driver leaves nothing behind", .timeLimit(.minutes(2)))
    func aKilledDriverLeavesNothingBehind() async throws {
        let program = try await Program(["everything", "engine=processes", "pids", "wait"])
        let line = try #require(await program.nextLine())
        let ids = line.split(separator: " ").dropFirst().compactMap { Int32($0) }
        #expect(ids.count == 2)
        program.kill()
        // Workers hold the output as well: it ends with the last of them.
        _ = try await program.remainingLines()
        _ = try await program.ended()
        // A process lets go of its files shortly before it ends, and tells only its parent of that.
        for id in ids { while Self.runs(id) { await Task.yield() } }
    }

    /// Whether a process runs; one that has ended and that nobody has waited for does not.
    private static func runs(_ id: Int32) -> Bool {
        guard let stat = try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8) else {
            return false
        }
        return !stat.contains(") Z") && !stat.contains(") X")
    }
}
