extension BinaryInteger {
    /// The number's digits, with zeros before them where there are fewer than `count`.
    func padded(to count: Int, radix: Int = 10) -> String {
        let digits = String(self, radix: radix)
        return String(repeating: "0", count: Swift.max(0, count - digits.count)) + digits
    }
}
