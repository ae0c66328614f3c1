import FaultTolerance

@main
struct FaultToleranceAlone {
    static func main() async throws {
        let log = InMemoryWriteAheadLog()
        let handle = try await log.write([1, 2, 3], time: .zero)
        precondition(try await log.read(handle) == [1, 2, 3])
        await log.close()
    }
}
