import BatchEngine
import Foundation

/// A path that many elements take.
struct HotPath: Sendable {
    let name: String
    /// Makes something that sends so many elements along the path, again and again.
    let prepare: @Sendable (_ count: Int) async throws -> @Sendable () async throws -> Void

    init(
        _ name: String,
        _ prepare:
            @escaping @Sendable (_ count: Int) async throws -> @Sendable () async throws -> Void
    ) {
        self.name = name
        self.prepare = prepare
    }

    static let all = text + keyed + stateful + storing

    /// What one block of elements costs, and what more elements in it add.
    ///
    /// The least of several runs counts: other threads of the program may allocate as well.
    func measure() async throws -> Figures {
        let count = 10_000
        let one = try await least(count)
        let two = try await least(2 * count)
        let perElement = max(0, Double(two.allocations - one.allocations) / Double(count))
        return Figures(
            perElement: perElement,
            perBlock: Double(one.allocations) - perElement * Double(count),
            nanoseconds: max(0, (two.nanoseconds - one.nanoseconds) / Double(count)))
    }

    private func least(_ count: Int) async throws -> (allocations: Int, nanoseconds: Double) {
        let run = try await prepare(count)
        for _ in 0..<5 { try await run() }
        var least = (allocations: Int.max, nanoseconds: Double.infinity)
        for _ in 0..<20 {
            let allocations = try Allocations.count()
            let start = SystemTime.monotonic()
            try await run()
            let time = (SystemTime.monotonic() - start) / .nanoseconds(1)
            least.allocations = min(least.allocations, try Allocations.count() - allocations)
            least.nanoseconds = min(least.nanoseconds, time)
        }
        return least
    }
}

/// What a path costs.
struct Figures {
    let perElement: Double
    let perBlock: Double
    let nanoseconds: Double

    static let header = columns("path", "per element", "per block", "ns per element")

    func text(_ name: String) -> String {
        Self.columns(
            name, Self.short(perElement), Self.short(perBlock), Self.short(nanoseconds))
    }

    static func short(_ value: Double) -> String { "\((value * 10_000).rounded() / 10_000)" }

    private static func columns(_ name: String, _ values: String...) -> String {
        let pad = { (text: String, width: Int) in
            String(repeating: " ", count: max(0, width - text.count))
        }
        return name + pad(name, 20) + values.map { pad($0, 16) + $0 }.joined()
    }
}

/// The count that the library loaded in front of the C library keeps.
enum Allocations {
    static func count() throws -> Int {
        guard let count = dlsym(handle, "allocation_count") else {
            throw BudgetError("allocations are not counted; start this by Tools/checks/budgets")
        }
        return count.load(as: Int.self)
    }

    /// The program with all its libraries.
    private static var handle: UnsafeMutableRawPointer? { dlopen(nil, RTLD_NOW) }
}
