import Testing

import BatchEngine

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Files", .timeLimit(.minutes(5)))
struct FileSystemTests {
    private func inTemporaryDirectory(_ body: (String) throws -> Void) throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "files")
        defer { try? FileSystem.removeTree(directory) }
        try body(directory)
    }

    @Test("directories are created with those above them, twice without harm")
    func createsDirectories() throws {
        try inTemporaryDirectory { root in
            try FileSystem.createDirectory("\(root)/a/b//c/")
            try FileSystem.createDirectory("\(root)/a/b/c")
            #expect(try FileSystem.status("\(root)/a/b/c")?.isDirectory == true)
            #expect(FileSystem.isWritable("\(root)/a"))
            try FileSystem.removeTree("\(root)/a")
            #expect(!FileSystem.exists("\(root)/a"))
            #expect(try !FileSystem.remove("\(root)/a"))
        }
    }

    @Test("a tree is removed with what is below it, and links are not followed")
    func removesTrees() throws {
        try inTemporaryDirectory { root in
            try FileSystem.createDirectory("\(root)/kept")
            try FileSystem.append("\(root)/kept/file", [1], durability: .handedOver)
            try FileSystem.createDirectory("\(root)/tree/below/deeper")
            try FileSystem.append("\(root)/tree/below/file", [1], durability: .handedOver)
            #expect(symlink("\(root)/kept", "\(root)/tree/below/link") == 0)
            try FileSystem.removeTree("\(root)/tree")
            #expect(try FileSystem.list(root) == ["kept"])
            #expect(symlink("\(root)/kept", "\(root)/link") == 0)
            try FileSystem.removeTree("\(root)/link")
            try FileSystem.removeTree("\(root)/missing/below")
            #expect(try FileSystem.list(root) == ["kept"])
            #expect(try FileSystem.list("\(root)/kept") == ["file"])
        }
    }

    @Test("what takes only part is written on, and what takes nothing is given up")
    func partialWrites() {
        let bytes = (0..<100).map { UInt8($0) }
        var (written, calls): ([UInt8], Int) = ([], 0)
        let code = bytes.withUnsafeBytes { bytes in
            writeAll(bytes) { start, count in
                calls += 1
                let part = UnsafeRawBufferPointer(start: start, count: min(count, 30))
                written += part
                return part.count
            }
        }
        #expect(code == nil && written == bytes && calls == 4)
        #expect(bytes.withUnsafeBytes { writeAll($0) { _, _ in 0 } } == EIO)
        #expect(writeAll(UnsafeRawBufferPointer(start: nil, count: 0)) { _, _ in 0 } == nil)
    }

    @Test("a link where a file is to be written is not followed")
    func linksInPlace() throws {
        try inTemporaryDirectory { root in
            #expect(symlink("\(root)/target", "\(root)/link") == 0)
            for mode in [OpenFile.Mode.replace, .lock, .createNew] {
                #expect(throws: SystemError.self) { try OpenFile("\(root)/link", mode) }
            }
            let names = try FileSystem.list(root)
            #expect(names == ["link"])
        }
    }

    @Test("a pipe that nobody writes to is opened at once, and cannot be read")
    func pipes() throws {
        try inTemporaryDirectory { root in
            let path = "\(root)/pipe"
            try #require(mkfifo(path, 0o600) == 0)
            let file = try OpenFile(path, .read)
            #expect(try file.status().isSpecial)
            #expect(throws: SystemError.self) { try file.read(at: 0, count: 1) }
            #expect(throws: SystemError.self) { try FileSystem.readAll(path) }
            _ = try OpenFile("\(root)/plain", .append)
            #expect(try !OpenFile("\(root)/plain", .read).status().isSpecial)
            #expect(try !OpenFile(root, .read).status().isSpecial)
        }
    }

    @Test("a listing that breaks off is an error, not a short listing")
    func brokenListing() throws {
        let entries = [".", "a", "..", "b"]
        func names(endingWith number: Int32) throws -> [String] {
            var rest = entries[...]
            return try FileSystem.names(in: "/somewhere") {
                if rest.isEmpty { errno = number }
                return rest.popFirst()
            }
        }
        #expect(try names(endingWith: 0) == ["a", "b"])
        let error = #expect(throws: SystemError.self) { try names(endingWith: EIO) }
        #expect(error == SystemError(call: "readdir", errno: EIO, subject: "/somewhere"))
    }

    @Test("a path with a NUL is refused, not cut")
    func refusesNull() throws {
        try inTemporaryDirectory { root in
            let path = "\(root)/a\0b"
            let calls: [() throws -> Void] = [
                { _ = try OpenFile(path, .createNew) }, { try FileSystem.createDirectory(path) },
                { _ = try FileSystem.createOneDirectory(path) }, { _ = try FileSystem.list(path) },
                { _ = try FileSystem.status(path) }, { _ = try FileSystem.remove(path) },
                { try FileSystem.removeTree(path) }, { try FileSystem.flushDirectory(path) },
                { try FileSystem.rename(root, to: path, durability: .handedOver) },
                { try FileSystem.rename(path, to: root, durability: .handedOver) },
            ]
            for call in calls {
                let error = #expect(throws: SystemError.self) { try call() }
                let text = error.map { "\($0)" } ?? ""
                #expect(text.contains("a\\0b") && text.contains("NUL"), "\(text)")
            }
            let names = try FileSystem.list(root)
            #expect(names == [])
            // The part before the NUL is there.
            #expect(!FileSystem.exists("\(root)\0") && !FileSystem.isWritable("\(root)\0"))
        }
    }

    @Test(
        "an atomic write replaces the file and leaves nothing else",
        arguments: [FileSystem.Durability.handedOver, .flushed])
    func writesAtomically(durability: FileSystem.Durability) throws {
        try inTemporaryDirectory { root in
            let path = "\(root)/file"
            try FileSystem.writeAtomically(path, Array("one".utf8), durability: durability)
            try FileSystem.writeAtomically(path, Array("second".utf8), durability: durability)
            #expect(try FileSystem.readAll(path) == Array("second".utf8))
            try FileSystem.append(path, Array("+".utf8), durability: durability)
            try FileSystem.append("\(root)/new", [], durability: durability)
            #expect(try FileSystem.read(path, at: 3, count: 100) == Array("ond+".utf8))
            #expect(try FileSystem.list(root) == ["file", "new"])
            let status = try #require(try FileSystem.status(path))
            #expect(status.byteCount == 7 && !status.isDirectory)
            #expect(status.modified <= SystemTime.wall() + .seconds(1))
            try FileSystem.rename(path, to: "\(root)/moved", durability: durability)
            #expect(try FileSystem.list(root) == ["moved", "new"])
            #expect(try FileSystem.status(path) == nil)
        }
    }

    @Test("large files come back whole")
    func readsLargeFiles() throws {
        try inTemporaryDirectory { root in
            let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            try FileSystem.writeAtomically("\(root)/large", bytes, durability: .handedOver)
            #expect(try FileSystem.readAll("\(root)/large") == bytes)
            let file = try OpenFile("\(root)/large", .readAndAppend)
            try file.truncate(to: 10)
            try file.write([1, 2])
            try file.flush()
            #expect(try file.byteCount() == 12)
            #expect(try file.read(at: 9, count: 9) == [bytes[9], 1, 2])
        }
    }

    @Test("errors name path and call")
    func errorsNamePathAndCall() throws {
        try inTemporaryDirectory { root in
            let missing = #expect(throws: SystemError.self) {
                try FileSystem.readAll("\(root)/missing")
            }
            #expect(missing?.isNotFound == true)
            #expect(
                missing?.description
                    == "\(root)/missing: No such file or directory (open, errno 2)")
            try FileSystem.append("\(root)/file", [], durability: .handedOver)
            let blocked = #expect(throws: SystemError.self) {
                try FileSystem.createDirectory("\(root)/file/below")
            }
            #expect(blocked?.call == "mkdir" && blocked?.subject.contains("file") == true)
            let present = #expect(throws: SystemError.self) {
                try OpenFile("\(root)/file", .createNew)
            }
            #expect(present?.isAlreadyThere == true)
        }
    }

    @Test("the machine's figures are plausible")
    func resources() throws {
        #expect(ResourceUsage.coreCount() >= 1)
        #expect(try #require(ResourceUsage.residentBytes()) > 1 << 20)
        #expect(ResourceUsage.cpuTime() > .zero)
        let before = SystemTime.monotonic()
        #expect(SystemTime.monotonic() >= before)
        #expect(SystemTime.wall() > .seconds(1_700_000_000))
    }

    @Test("blocking calls run on other threads and report their errors")
    func blockingThreads() async throws {
        let threads = BlockingThreads()
        let numbers = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<50 { group.addTask { try await threads.run { number * 2 } } }
            return try await group.reduce(0, +)
        }
        #expect(numbers == 2450)
        await #expect(throws: SystemError.self) {
            try await threads.run { try FileSystem.readAll("/missing/file") }
        }
    }

    @Test("threads for blocking calls keep nothing of what they ran")
    func idleBlockingThreads() async throws {
        final class Held: Sendable {
            let end: AsyncStream<Void>.Continuation
            init(_ end: AsyncStream<Void>.Continuation) { self.end = end }
            deinit { end.finish() }
        }
        let threads = BlockingThreads()
        for _ in 0..<3 {
            let (stream, end) = AsyncStream<Void>.makeStream()
            do {
                let held = Held(end)
                try threads.submit { withExtendedLifetime(held) {} }
            }
            // The thread is idle now, or ends.
            for await _ in stream {}
        }
    }
}
